//! Asks somebody who may not answer, on a thread of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Holds the last answer. At most one question is under way; a thread that never has its answer ends with the process.
pub(crate) struct Asker<T> {
    questions: Sender<()>,
    answers: Receiver<Option<T>>,
    is_under_way: bool,
    last: Option<T>,
    /// Looks since the last answer.
    unanswered: u64,
}

impl<T: Send + 'static> Asker<T> {
    /// For answers that `ask` gives, or does not.
    pub(crate) fn new(mut ask: impl FnMut() -> Option<T> + Send + 'static) -> Asker<T> {
        let (questions, asked) = channel();
        let (answered, answers) = channel();
        let answer = move || asked.iter().try_for_each(|()| answered.send(ask()));
        // Without the thread there is no answer, and the looks say so.
        let _ = thread::Builder::new().name("load-asker".to_owned()).spawn(answer);
        Asker { questions, answers, is_under_way: false, last: None, unanswered: 0 }
    }

    /// The newest answer, and after how many looks without any. Waits for it for a moment only.
    pub(crate) fn ask(&mut self) -> (Option<&T>, u64) {
        self.is_under_way = self.is_under_way || self.questions.send(()).is_ok();
        self.unanswered += 1;
        if let Ok(answer) = self.answers.recv_timeout(PATIENCE) {
            self.is_under_way = false;
            if answer.is_some() {
                (self.last, self.unanswered) = (answer, 0);
            }
        }
        (self.last.as_ref(), self.unanswered)
    }
}

/// An answer takes some microseconds where there is a CPU to give it.
const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_stops_nobody_and_the_last_answer_stays() {
        let (allow, allowed) = channel::<()>();
        let mut asker = Asker::new(move || allowed.recv().ok().map(|()| 7));
        allow.send(()).expect("it listens");
        // Whether the first look has the answer already is the machine's affair.
        while asker.ask().0.is_none() {}
        for looks in 1..4 {
            assert_eq!(asker.ask(), (Some(&7), looks));
        }
        allow.send(()).expect("it listens");
        while asker.ask().1 > 0 {}
    }
}
