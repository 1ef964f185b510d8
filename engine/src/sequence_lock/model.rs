//! The sequence lock under loom: a reader beside the writer.

use loom::sync::Arc;
use loom::thread;

use super::SequenceLock;

#[test]
fn what_is_read_was_published_together_and_never_goes_back() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let lock = Arc::new(SequenceLock::<2>::default());
        let writer = Arc::clone(&lock);
        let writing = thread::spawn(move || {
            writer.publish([1, 1]);
            writer.publish([2, 2]);
        });
        let mut last = 0;
        for _ in 0..2 {
            let [first, second] = lock.read();
            assert_eq!(first, second, "torn");
            assert!(first >= last, "{first} after {last}");
            last = first;
        }
        writing.join().expect("no panic");
        assert_eq!(lock.read(), [2, 2]);
    });
}
