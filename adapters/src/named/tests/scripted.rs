//! Appends, reads and closing with a store that answers when the test says so.

use super::*;

#[test]
fn what_arrives_while_a_batch_is_in_flight_becomes_the_next_one() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    let others: Vec<_> = (1..=3u8).map(|number| stage.append(&file, &[b'0' + number])).collect();
    stage.settle();
    assert_eq!(stage.submitted(), [(1, vec![b"0".to_vec()])]);
    assert_eq!(stored_as(&first), None, "nobody is answered before the store is");
    stage.store();
    assert_eq!(stored_as(&first), Some(1));
    assert_eq!(stage.submitted()[1], (2, vec![b"1".to_vec(), b"2".to_vec(), b"3".to_vec()]));
    stage.store();
    let places: Vec<_> = others.iter().map(stored_as).collect();
    assert_eq!(places, [Some(2), Some(3), Some(4)], "in the order in which they came");
    assert_eq!(file.board.end(), Sequence(5));
}

#[test]
fn one_refused_for_now_is_submitted_again_under_its_sequence_and_before_anything_newer() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    let second = stage.submit(&file, b"1");
    stage.refuse(0, transient());
    assert_eq!(stage.submitted().len(), 1, "a retry waits");
    let due = stage.keeper.due().expect("it wakes by itself");
    assert_eq!(due, stage.now.after(Duration::from_millis(1)));
    stage.pass(Duration::from_millis(1));
    stage.store();
    stage.store();
    let firsts: Vec<u64> = stage.submitted().iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [1, 1, 2]);
    assert_eq!((stored_as(&first), stored_as(&second)), (Some(1), Some(2)));
}

#[test]
fn one_refused_for_good_is_told_why_and_the_next_goes_on_behind_it() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    let second = stage.submit(&file, b"1");
    let error = AdapterError::Final("full".to_owned());
    stage.refuse(0, error.clone());
    assert_eq!(refused_with(&first), RedexError::Store(error));
    stage.store();
    assert_eq!(stored_as(&second), Some(2), "a sequence is not used again");
}

#[test]
fn those_at_the_front_of_a_refused_batch_that_are_stored_are_told_so() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let answers: Vec<_> = (0..3).map(|_| stage.append(&file, b"x")).collect();
    stage.settle();
    stage.refuse(2, AdapterError::Final("full".to_owned()));
    assert_eq!((stored_as(&answers[0]), stored_as(&answers[1])), (Some(1), Some(2)));
    assert!(matches!(refused_with(&answers[2]), RedexError::Store(_)));
    assert_eq!(file.board.end(), Sequence(3), "tails see the two");
}

#[test]
fn a_store_that_refuses_for_now_for_too_long_is_given_up() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    for _ in 0..100 {
        if stage.script.borrow().in_flight.is_some() {
            stage.refuse(0, transient());
        }
        stage.pass(Duration::from_millis(100));
    }
    assert_eq!(refused_with(&first), RedexError::Store(transient()));
    let attempts = stage.submitted().len();
    assert!((10..40).contains(&attempts), "{attempts}");
}

#[test]
fn a_batch_without_an_answer_is_taken_back_and_its_outcome_is_unknown_in_the_end() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    stage.pass(Duration::from_secs(4));
    assert_eq!(stage.script.borrow().cancelled, 0);
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.script.borrow().cancelled, 1);
    assert_eq!(refused_with(&first), late());
}

#[test]
fn whoever_waits_in_vain_is_told_what_the_store_has_said_last() {
    let mut stage = Stage::scripted();
    stage.script.borrow_mut().closing_looks = Some(usize::MAX);
    let (file, other) = (stage.open("a"), stage.open("a"));
    let named = stage.handle(other);
    let first = stage.submit(&file, b"0");
    stage.complain("no index");
    stage.complain("no space");
    let said = |refused: RedexError| refused.to_string().ends_with("; the store has said last: a: no space");
    let busy = file.board.take_room(super::super::WAITING_BYTES_MAX, Duration::ZERO, || false);
    assert!(busy.err().is_some_and(said), "who finds no room");
    assert!(named.sync().err().is_some_and(said), "who goes before there is an answer");
    stage.pass(Duration::from_secs(5));
    let late = refused_with(&first);
    assert!(matches!(late, RedexError::Late(_)) && said(late), "who appends");
    assert!(named.close().err().is_some_and(said), "who does not hear how it is closed");
    let ended = stage.post(|answer| Request::End { answer });
    stage.settle();
    stage.pass(Duration::from_secs(5));
    stage.pass(Duration::from_secs(1));
    assert!(said(refused_with(&ended)), "who ends all files");
}

#[test]
fn what_a_store_has_said_before_it_stored_something_explains_nothing() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    stage.complain("no space");
    stage.store();
    assert_eq!(stored_as(&first), Some(1));
    let second = stage.submit(&file, b"1");
    stage.pass(Duration::from_secs(5));
    assert_eq!(refused_with(&second), late());
}

#[test]
fn a_store_that_is_not_ready_is_waited_for_without_looking_again_and_again() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    stage.script.borrow_mut().unready = true;
    let first = stage.submit(&file, b"0");
    assert!(stage.submitted().is_empty());
    assert_eq!(stage.keeper.due(), None);
    stage.script.borrow_mut().unready = false;
    stage.settle();
    stage.store();
    assert_eq!(stored_as(&first), Some(1));
}

#[test]
fn sequences_go_on_from_the_stores_mark() {
    let mut stage = Stage::scripted();
    stage.script.borrow_mut().resume = Sequence(1_000);
    let file = stage.open("a");
    assert_eq!(file.board.end(), Sequence(1_000));
    let first = stage.submit(&file, b"0");
    stage.store();
    assert_eq!(stored_as(&first), Some(1_000));
}

#[test]
fn a_read_ends_later_and_says_that_only_what_was_acknowledged_counts() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let _first = stage.submit(&file, b"0");
    stage.store();
    let _second = stage.submit(&file, b"1");
    let found = stage.read(file.file, None);
    assert!(found.try_recv().is_err(), "the store has not answered");
    let (_, request) = stage.script.borrow().reads[0];
    assert_eq!((request.after, request.events_max), (None, 100));
    stage.find(Ok(ReadBlock::default()));
    let found = found.try_recv().expect("answered").expect("read");
    assert_eq!(found.end, Sequence(2), "the second is in flight");
    let failed = stage.read(file.file, None);
    stage.find(Err(transient()));
    assert_eq!(refused_with(&failed), RedexError::Store(transient()));
}

#[test]
fn a_closed_file_stores_what_is_in_flight_syncs_and_goes_when_its_store_has_ended() {
    let mut stage = Stage::scripted();
    stage.script.borrow_mut().closing_looks = Some(2);
    let file = stage.open("a");
    let first = stage.append(&file, b"0");
    let second = stage.submit(&file, b"1");
    let third = stage.submit(&file, b"2");
    let closed = stage.close(file.file, file.hold);
    assert!(is_over(&file.board), "who waits at its board is woken");
    let late = stage.append_without_room(file.file);
    stage.settle();
    assert_eq!(refused_with(&late), RedexError::Closed);
    assert!(stage.script.borrow().syncs.is_empty(), "something is in flight");
    stage.store();
    stage.store();
    assert_eq!((stored_as(&first), stored_as(&second), stored_as(&third)), (Some(1), Some(2), Some(3)));
    assert!(!stage.script.borrow().closed, "it syncs");
    stage.sync(Ok(()));
    assert!(stage.script.borrow().closed && closed.try_recv().is_err(), "its end takes another look");
    assert!(stage.keeper.is_outstanding(), "the executor has to look too");
    let again = stage.try_open("a", "");
    assert!(again.try_recv().is_ok(), "opening it anew waited for its end");
    assert_eq!(closed.try_recv(), Ok(Ok(())));
    assert_eq!(*stage.opened.borrow(), ["a", "a"]);
}

#[test]
fn opening_a_file_that_closes_waits_until_it_is_gone() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let closed = stage.close(file.file, file.hold);
    let again = stage.try_open("a", r#"{"fsync":"never"}"#);
    assert!(again.try_recv().is_err(), "the first one syncs");
    assert_eq!(stage.opened.borrow().len(), 1);
    let broken = AdapterError::Final("broken".to_owned());
    stage.sync(Err(broken.clone()));
    assert_eq!(refused_with(&closed), RedexError::Store(broken), "it hears how its sync went");
    assert_eq!(stage.opened.borrow().len(), 2);
    let again = again.try_recv().expect("answered").expect("opened");
    assert_ne!(again.file, file.file);
}

#[test]
fn a_hung_store_is_given_up_at_the_deadline_and_everybody_is_told() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    let second = stage.append(&file, b"1");
    let found = stage.read(file.file, None);
    let closed = stage.close(file.file, file.hold);
    let deadline = stage.keeper.due().expect("it wakes by itself");
    assert!(deadline <= stage.now.after(Duration::from_secs(5)));
    stage.script.borrow_mut().unready = true;
    stage.complain("on purpose");
    stage.pass(Duration::from_secs(5));
    let said = RedexError::Late(Trouble::of(&Name::parse("a").expect("a name"), &transient()));
    assert_eq!(refused_with(&first), said, "it may have been stored");
    assert_eq!(refused_with(&second), RedexError::Closed, "it was never submitted");
    assert_eq!(refused_with(&found), RedexError::Closed);
    assert_eq!(refused_with(&closed), said);
    assert!(stage.script.borrow().closed);
}

#[test]
fn the_end_of_a_redex_stores_what_came_before_and_refuses_what_comes_after() {
    let mut stage = Stage::scripted();
    let file = stage.open("a");
    let first = stage.submit(&file, b"0");
    let ended = stage.post(|answer| Request::End { answer });
    assert!(!stage.settle().finished);
    assert_eq!(refused_with(&stage.try_open("b", "")), RedexError::Ended);
    stage.store();
    assert_eq!(stored_as(&first), Some(1));
    stage.sync(Ok(()));
    assert!(stage.settle().finished);
    assert_eq!(ended.try_recv(), Ok(Ok(())));
    assert!(is_over(&file.board));
    assert!(stage.keeper.end().is_none(), "nothing is left to end");
}

#[test]
fn the_end_of_a_redex_with_a_hung_store_comes_at_its_deadline_and_hands_its_end_on() {
    let mut stage = Stage::scripted();
    stage.script.borrow_mut().closing_looks = Some(usize::MAX);
    let file = stage.open("a");
    let first = stage.append(&file, b"0");
    let ended = stage.post(|answer| Request::End { answer });
    stage.settle();
    stage.now = stage.now.after(Duration::from_secs(5));
    assert!(!stage.settle().finished);
    assert_eq!(refused_with(&first), late());
    stage.now = stage.now.after(Duration::from_secs(1));
    assert!(stage.settle().finished);
    assert_eq!(refused_with(&ended), late());
    assert!(stage.keeper.end().is_some(), "the executor waits for the kernel");
}
