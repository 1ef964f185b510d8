//! Handles, names and configurations, with memory stores.

use super::*;

fn payloads(found: &Found) -> Vec<Vec<u8>> {
    found.block.batch.events().map(|event| event.payload.to_vec()).collect()
}

#[test]
fn an_event_that_was_answered_is_there() {
    let mut stage = Stage::in_memory();
    let file = stage.open("a");
    for number in 0..5u8 {
        let answer = stage.submit(&file, &[number]);
        assert_eq!(stored_as(&answer), Some(u64::from(number) + 1));
        let found = stage.read(file.file, None).try_recv().expect("answered").expect("read");
        assert_eq!(payloads(&found).len(), usize::from(number) + 1);
        assert!(found.end > Sequence(u64::from(number) + 1));
    }
    let times: Vec<u64> = {
        let found = stage.read(file.file, None).try_recv().expect("answered").expect("read");
        found.block.batch.events().map(|event| event.timestamp_ns).collect()
    };
    assert_eq!(times, [7, 8, 9, 10, 11], "times rise although the clock stood still");
    let count = stage.post(|answer| Request::Count { file: file.file, answer });
    stage.settle();
    assert_eq!(count.try_recv(), Ok(Ok(5)));
}

#[test]
fn two_handles_on_one_name_are_one_file_until_the_last_is_closed() {
    let mut stage = Stage::in_memory();
    let (one, other) = (stage.open("a"), stage.open("a"));
    assert_eq!(one.file, other.file);
    assert_eq!(*stage.opened.borrow(), ["a"]);
    assert_eq!(stage.close(one.file, one.hold).try_recv(), Ok(Ok(())));
    let answer = stage.submit(&other, b"x");
    assert_eq!(stored_as(&answer), Some(1));
    assert_eq!(stage.close(other.file, other.hold).try_recv(), Ok(Ok(())));
    assert!(is_over(&other.board));
    let again = stage.open("a");
    assert!(payloads(&stage.read(again.file, None).try_recv().expect("answered").expect("read")).is_empty());
}

#[test]
fn a_file_that_is_open_with_another_configuration_is_refused() {
    let mut stage = Stage::in_memory();
    let _file = stage.open("a");
    let refused = stage.try_open("a", r#"{"fsync":"never"}"#);
    assert_eq!(refused_with(&refused), RedexError::Conflict);
    let same = stage.try_open("a", r#"{"fsync":{"interval_ms":50}}"#);
    assert!(same.try_recv().expect("answered").is_ok(), "what the default says is the same");
}

#[test]
fn a_store_that_does_not_open_takes_no_name() {
    let mut stage = Stage::in_memory();
    *stage.refuses.borrow_mut() = Some(transient());
    assert_eq!(refused_with(&stage.try_open("a", "")), RedexError::Store(transient()));
    stage.open("a");
}

#[test]
fn more_files_than_there_may_be_are_refused_until_one_is_closed() {
    let mut stage = Stage::in_memory();
    let first = stage.open("0");
    let others: Vec<_> = (1..super::super::FILES_MAX).map(|number| stage.open(&number.to_string())).collect();
    assert_eq!(refused_with(&stage.try_open("one-more", "")), RedexError::FilesExhausted);
    stage.open("1");
    stage.close(first.file, first.hold);
    stage.open("one-more");
    drop(others);
}

#[test]
fn a_caller_that_has_gone_leaves_no_file_open() {
    let mut stage = Stage::in_memory();
    let name = Name::parse("a").expect("a name");
    let config = FileConfig::parse("", true).expect("all defaults");
    drop(stage.post(|answer| Request::Open(Opening { name, config, answer })));
    stage.settle();
    stage.open("a");
    assert_eq!(*stage.opened.borrow(), ["a", "a"]);
}

#[test]
fn a_handle_that_nobody_takes_out_of_its_answer_leaves_no_file_open() {
    let mut stage = Stage::in_memory();
    drop(stage.try_open("a", ""));
    assert!(stage.keeper.has_work(), "its worker is woken");
    stage.settle();
    stage.open("a");
    assert_eq!(*stage.opened.borrow(), ["a", "a"]);
}

#[test]
fn a_handle_that_is_dropped_while_the_mailbox_is_full_leaves_no_file_open() {
    let mut stage = Stage::in_memory();
    let file = stage.handle_before_a_full_mailbox();
    drop(file);
    stage.settle();
    stage.open("a");
    assert_eq!(*stage.opened.borrow(), ["a", "a"]);
}

#[test]
fn a_handle_that_is_closed_while_the_mailbox_stays_full_leaves_no_file_open() {
    let mut stage = Stage::in_memory();
    let file = stage.handle_before_a_full_mailbox();
    assert_eq!(file.close(), Err(late()), "nobody says how it went");
    stage.settle();
    stage.open("a");
    assert_eq!(*stage.opened.borrow(), ["a", "a"]);
    assert_eq!((file.close(), file.count()), (Ok(()), Err(RedexError::Closed)));
}

#[test]
fn a_file_that_nobody_has_any_more_is_closed_before_it_is_opened_again() {
    let mut stage = Stage::in_memory();
    drop(stage.open("a"));
    let again = stage.try_open("a", r#"{"fsync":"never"}"#);
    assert!(again.try_recv().expect("answered").is_ok(), "its configuration is its own");
    assert_eq!(*stage.opened.borrow(), ["a", "a"]);
}

#[test]
fn what_is_asked_of_a_file_that_is_gone_is_refused() {
    let mut stage = Stage::in_memory();
    let file = stage.open("a");
    stage.close(file.file, file.hold);
    assert_eq!(refused_with(&stage.read(file.file, None)), RedexError::Closed);
    let late = stage.append_without_room(file.file);
    stage.settle();
    assert_eq!(refused_with(&late), RedexError::Closed);
    assert!(!stage.keeper.has_work(), "and then it sleeps");
}

#[test]
fn a_flood_of_requests_is_answered_in_their_order_over_several_rounds() {
    let mut stage = Stage::in_memory();
    let file = stage.open("a");
    let answers: Vec<_> = (0..1_000u32).map(|number| stage.append(&file, &number.to_le_bytes())).collect();
    stage.keeper.round(stage.now);
    assert!(stage.keeper.has_work(), "one round is bounded");
    stage.settle();
    for (place, answer) in (1..).zip(&answers) {
        assert_eq!(stored_as(answer), Some(place));
    }
}

impl Stage {
    /// The only handle on the file `a`, and as many requests as the mailbox takes.
    fn handle_before_a_full_mailbox(&mut self) -> NamedFile {
        let opened = self.open("a");
        let file = opened.file;
        while self.mailbox.post(Request::Count { file, answer: bounded(1).0 }).is_ok() {}
        self.handle(opened)
    }

    /// An append that found room before its file was closed.
    pub(super) fn append_without_room(&mut self, file: FileId) -> Answered<Sequence> {
        let board = Arc::new(Board::new(Sequence::FIRST));
        self.append_to(file, &board, b"late")
    }
}
