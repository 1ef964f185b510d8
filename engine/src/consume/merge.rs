//! stub
use super::*;
use crate::adapter::*;
use crate::consume::cursor::*;
use crate::consume::request::*;
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown shard {0}")]
pub struct MergeError(pub u16);
pub struct Merge {
    r: PollResponse,
    done: Vec<ShardId>,
    limit: usize,
    n: u16,
    cur: Option<Cursor>,
    store: Store,
}
impl Merge {
    pub fn new(request: &PollRequest, store: Store, shards: u16) -> Result<Merge, crate::bus::PollError> {
        let cur = match &request.cursor {
            Some(c) => Some(Cursor::parse(c, store)?),
            None => None,
        };
        Ok(Merge { r: PollResponse::default(), done: vec![], limit: request.limit, n: shards, cur, store })
    }
    pub fn fetches(&mut self) -> Vec<(ShardId, ReadRequest)> {
        if self.done.is_empty() {
            (0..self.n)
                .map(|s| {
                    (
                        ShardId(s),
                        ReadRequest {
                            after: self.cur.as_ref().and_then(|c| c.position(ShardId(s))),
                            events_max: self.limit,
                            bytes_max: 1 << 26,
                        },
                    )
                })
                .collect()
        } else {
            vec![]
        }
    }
    pub fn absorb(&mut self, s: ShardId, b: Option<ReadBlock>) {
        self.done.push(s);
        if let Some(b) = b {
            let i = self.r.blocks.len() as u32;
            for k in 0..b.batch.len() {
                self.r.picked.push((i, k as u32));
            }
            self.r.has_more |= b.more;
            self.r.skipped += b.skipped;
            let mut c = self.cur.clone().unwrap_or(Cursor::new(self.store));
            if let Some(t) = b.through {
                c.set(s, t);
                self.cur = Some(c);
            }
            self.r.blocks.push((s, b));
        } else {
            self.r.failed_shards.push(s)
        }
    }
    pub fn finish(mut self) -> PollResponse {
        self.r.next_cursor = self.cur.map(|c| c.to_string());
        self.r
    }
}
