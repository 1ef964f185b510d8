//! Which CPUs the process may use, and which of them each shard gets.

use std::thread;

/// Which CPUs the shards are pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// The last of the allowed CPUs downwards, so that single-threaded callers keep the first.
    Auto,
    /// These, in order, again from the first when there are more shards.
    List(Vec<usize>),
}

/// How many CPUs the process may use: the smaller of its affinity mask and its cgroup's quota, at least 1.
pub fn allowed_count() -> usize {
    let quota = thread::available_parallelism().map_or(1, usize::from);
    quota.min(allowed_ids().len()).max(1)
}

/// Numbers of the CPUs in the affinity mask, ascending; CPU 0 alone where the mask cannot be read.
fn allowed_ids() -> Vec<usize> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    if ids.is_empty() { vec![0] } else { ids.into_iter().map(|core| core.id).collect() }
}

/// Where the shards of a bus run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The CPU of each shard, by shard number.
    pub cores: Vec<usize>,
    /// CPUs the process may use.
    pub allowed: usize,
    /// Whether several shards share a CPU. Such shards never spin.
    pub shared: bool,
}

impl Placement {
    /// Places `shards` shards. Fails with a CPU that is asked for and not allowed.
    pub fn new(shards: u16, cores: &Cores) -> Result<Placement, usize> {
        Placement::among(shards, cores, &allowed_ids(), allowed_count())
    }

    fn among(shards: u16, cores: &Cores, ids: &[usize], allowed: usize) -> Result<Placement, usize> {
        let pool: Vec<usize> = match cores {
            Cores::Auto => ids.iter().rev().copied().take(allowed).collect(),
            Cores::List(list) => match list.iter().find(|core| !ids.contains(core)) {
                Some(&foreign) => return Err(foreign),
                None => list.clone(),
            },
        };
        let chosen: Vec<usize> = pool.iter().copied().cycle().take(usize::from(shards)).collect();
        let mut distinct = chosen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let shared = distinct.len() < chosen.len();
        Ok(Placement { cores: chosen, allowed, shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_shard_takes_the_last_allowed_cpu() {
        let placed = Placement::among(3, &Cores::Auto, &[2, 3, 5, 7], 4).expect("allowed");
        assert_eq!((placed.cores, placed.shared), (vec![7, 5, 3], false));
    }

    #[test]
    fn a_quota_smaller_than_the_mask_limits_the_cpus() {
        let placed = Placement::among(3, &Cores::Auto, &[0, 1, 2, 3], 2).expect("allowed");
        assert_eq!((placed.cores, placed.shared), (vec![3, 2, 3], true));
    }

    #[test]
    fn a_cpu_that_is_not_allowed_is_named() {
        assert_eq!(Placement::among(1, &Cores::List(vec![0, 9]), &[0, 1], 2), Err(9));
    }
}
