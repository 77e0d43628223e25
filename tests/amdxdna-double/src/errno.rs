//! How the driver says no.

/// A code of `errno.h`, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) type Answer<T = ()> = Result<T, Errno>;

pub(crate) const EAGAIN: Errno = Errno(libc::EAGAIN);
pub(crate) const EFAULT: Errno = Errno(libc::EFAULT);
pub(crate) const EINVAL: Errno = Errno(libc::EINVAL);
pub(crate) const ENODEV: Errno = Errno(libc::ENODEV);
pub(crate) const ENOENT: Errno = Errno(libc::ENOENT);
pub(crate) const ENOMEM: Errno = Errno(libc::ENOMEM);
pub(crate) const ENOSPC: Errno = Errno(libc::ENOSPC);
pub(crate) const ENOTTY: Errno = Errno(libc::ENOTTY);
pub(crate) const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);
pub(crate) const ETIME: Errno = Errno(libc::ETIME);
