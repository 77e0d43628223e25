//! Timelines that programs wait on: one for each context, and those that fences are made of.

use std::collections::HashMap;
use std::time::Duration;

use super::{DRIVER, Node, State, hand_out};
use crate::abi::{self, SyncobjCreate, SyncobjHandle, TimelineArray, TimelineWait};
use crate::errno::{Answer, EINVAL, ENOENT, EOPNOTSUPP, ETIME};
use crate::region::{self, Memory};
use crate::user;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SyncobjId(u64);

struct Syncobj {
    /// The highest point signalled.
    reached: Option<u64>,
    /// Handles and contexts that have it.
    owners: usize,
    /// What descriptors of it are of, once there is one.
    token: Option<Memory>,
}

#[derive(Default)]
pub(super) struct Syncobjs {
    all: HashMap<SyncobjId, Syncobj>,
    last: u64,
}

impl Syncobjs {
    pub(super) fn create(&mut self, reached: Option<u64>) -> SyncobjId {
        self.last += 1;
        let id = SyncobjId(self.last);
        self.all.insert(id, Syncobj { reached, owners: 1, token: None });
        id
    }

    pub(super) fn keep(&mut self, id: SyncobjId) {
        if let Some(syncobj) = self.all.get_mut(&id) {
            syncobj.owners += 1;
        }
    }

    pub(super) fn release(&mut self, id: SyncobjId) {
        if let Some(syncobj) = self.all.get_mut(&id) {
            syncobj.owners -= 1;
            if syncobj.owners == 0 {
                self.all.remove(&id);
            }
        }
    }

    pub(super) fn signal(&mut self, id: SyncobjId, point: u64) {
        if let Some(syncobj) = self.all.get_mut(&id) {
            syncobj.reached = syncobj.reached.max(Some(point));
        }
    }

    /// Whether a point is reached; an object that is gone has nothing to wait for.
    fn is_reached(&self, id: SyncobjId, point: u64) -> bool {
        self.all.get(&id).is_none_or(|syncobj| syncobj.reached >= Some(point))
    }
}

impl State {
    fn syncobj(&mut self, fd: i32, handle: u32) -> Answer<SyncobjId> {
        self.client(fd)?.syncobjs.get(&handle).copied().ok_or(ENOENT)
    }
}

impl Node {
    pub(crate) fn create_syncobj(&self, argument: &mut SyncobjCreate) -> Answer {
        let mut state = self.state()?;
        let signalled = argument.flags & 1 != 0;
        let id = state.syncobjs.create(signalled.then_some(0));
        argument.handle = state.client(self.fd)?.insert_syncobj(id);
        Ok(())
    }

    pub(crate) fn destroy_syncobj(&self, argument: &SyncobjCreate) -> Answer {
        let mut state = self.state()?;
        let id = state.client(self.fd)?.syncobjs.remove(&argument.handle).ok_or(EINVAL)?;
        state.syncobjs.release(id);
        Ok(())
    }

    pub(crate) fn export_syncobj(&self, argument: &mut SyncobjHandle) -> Answer {
        let mut state = self.state()?;
        if argument.flags != 0 {
            return Err(EOPNOTSUPP);
        }
        let id = state.syncobj(self.fd, argument.handle)?;
        let syncobj = state.syncobjs.all.get_mut(&id).ok_or(ENOENT)?;
        let token = match &mut syncobj.token {
            Some(token) => token,
            none => none.insert(Memory::new(1, false)?),
        };
        argument.fd = hand_out(token.duplicate()?);
        Ok(())
    }

    pub(crate) fn import_syncobj(&self, argument: &mut SyncobjHandle) -> Answer {
        let mut state = self.state()?;
        let wanted = region::identity(argument.fd).ok_or(EINVAL)?;
        let same = |syncobj: &Syncobj| {
            syncobj.token.as_ref().is_some_and(|token| region::identity(token.fd()) == Some(wanted))
        };
        let found = state.syncobjs.all.iter().find(|(_, syncobj)| same(syncobj)).map(|(id, _)| *id);
        let id = found.ok_or(EINVAL)?;
        state.syncobjs.keep(id);
        argument.handle = state.client(self.fd)?.insert_syncobj(id);
        Ok(())
    }

    pub(crate) fn signal_timeline(&self, argument: &TimelineArray) -> Answer {
        let mut state = self.state()?;
        for (id, point) in
            points(&mut state, self.fd, argument.handles, argument.points, argument.count_handles)?
        {
            state.syncobjs.signal(id, point);
        }
        drop(state);
        DRIVER.changed.notify_all();
        Ok(())
    }

    /// Waits for all points until an absolute time of the monotonic clock.
    pub(crate) fn wait_timeline(&self, argument: &TimelineWait) -> Answer {
        if argument.flags & !abi::WAIT_FOR_SUBMIT != 0 {
            return Err(EOPNOTSUPP);
        }
        let mut state = self.state()?;
        let points = points(&mut state, self.fd, argument.handles, argument.points, argument.count_handles)?;
        loop {
            if points.iter().all(|&(id, point)| state.syncobjs.is_reached(id, point)) {
                return Ok(());
            }
            let left = until(argument.timeout_nsec).ok_or(ETIME)?;
            state =
                DRIVER.changed.wait_timeout(state, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

fn points(
    state: &mut State,
    fd: i32,
    handles: u64,
    points: u64,
    count: u32,
) -> Answer<Vec<(SyncobjId, u64)>> {
    /// XRT waits on one; the kernel allows any number.
    const MOST: u32 = 4096;
    if count == 0 || count > MOST {
        return Err(EINVAL);
    }
    let handles: Vec<u32> = user::read_array(handles, count as usize)?;
    let points: Vec<u64> = user::read_array(points, count as usize)?;
    handles.into_iter().zip(points).map(|(handle, point)| Ok((state.syncobj(fd, handle)?, point))).collect()
}

/// Time left until `deadline`, nanoseconds of the monotonic clock; `None` if it is over.
fn until(deadline: i64) -> Option<Duration> {
    let now = region::monotonic();
    let left = Duration::from_nanos(u64::try_from(deadline).ok()?).checked_sub(now)?;
    // A condition variable's own clock would overflow at "for ever".
    (!left.is_zero()).then(|| left.min(Duration::from_secs(3600)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn points_are_reached_in_order_and_point_0_is_not_reached_at_first() {
        let mut syncobjs = Syncobjs::default();
        let id = syncobjs.create(None);
        assert!(!syncobjs.is_reached(id, 0));
        syncobjs.signal(id, 0);
        assert!(syncobjs.is_reached(id, 0) && !syncobjs.is_reached(id, 1));
        syncobjs.signal(id, 5);
        syncobjs.signal(id, 3);
        assert!(syncobjs.is_reached(id, 5));
        syncobjs.keep(id);
        syncobjs.release(id);
        assert!(!syncobjs.is_reached(id, 6));
        syncobjs.release(id);
        assert!(syncobjs.is_reached(id, 6));
    }

    #[test]
    fn a_deadline_that_is_over_leaves_no_time() {
        assert_eq!(until(0), None);
        assert_eq!(until(-1), None);
        assert!(until(i64::MAX).is_some());
    }

    #[test]
    fn a_token_names_its_syncobj() {
        let token = Memory::new(1, false);
        let copy = token.as_ref().ok().and_then(|token| token.duplicate().ok());
        let of = |fd| region::identity(fd);
        assert_eq!(token.ok().and_then(|token| of(token.fd())), copy.and_then(|copy| of(copy.as_raw_fd())));
    }
}
