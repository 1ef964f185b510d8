//! Subscribers as the tests use them.

use engine::bus::Bus;
use engine::consume::subscribe::SubscribeRequest;
use engine::subscription::Subscription;

use crate::HANG;

/// An event as a subscriber got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The shard that ordered it.
    pub shard: u16,
    /// Its place there.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A subscription to `bus` that `json` describes.
pub fn subscribe(bus: &Bus, json: &str) -> Subscription {
    let request = SubscribeRequest::parse(json).expect("a test's request is right");
    bus.subscribe(request).expect("the shards answer")
}

/// The next `count` events, taken `events_max` at a time. An event that does not come is a hang.
pub fn receive(subscription: &mut Subscription, count: usize, events_max: usize) -> Vec<Received> {
    let mut received = Vec::with_capacity(count);
    while received.len() < count {
        let wanted = events_max.min(count - received.len());
        let next = subscription.next(wanted, Some(HANG)).expect("the bus runs");
        assert!(next.len() > 0, "hung: {} of {count} events came", received.len());
        received.extend(next.map(|(shard, event)| Received {
            shard: shard.0,
            sequence: event.sequence.0,
            payload: event.payload.to_vec(),
        }));
    }
    received
}

/// Whether nothing is there to be received now.
pub fn is_empty(subscription: &mut Subscription) -> bool {
    subscription.next(1, Some(std::time::Duration::ZERO)).is_ok_and(|events| events.len() == 0)
}
