//! Numbers of ioctls ▸ calls of the driver.

use crate::abi::nr;
use crate::driver::Node;
use crate::errno::{Answer, ENOTTY};
use crate::user::{self, Plain};

/// The letter of DRM's ioctls.
const DRM: u64 = 0x64;

/// Answers an ioctl of the node.
pub(crate) fn call(node: &Node, request: u64, address: u64) -> Answer {
    if request >> 8 & 0xFF != DRM {
        return Err(ENOTTY);
    }
    let number = u32::try_from(request & 0xFF).unwrap_or(u32::MAX);
    let parameter = Parameter { address, bytes: usize::try_from(request >> 16 & 0x3FFF).unwrap_or(0) };
    match number {
        nr::CREATE_HWCTX => parameter.with(|value| node.create_hwctx(value)),
        nr::DESTROY_HWCTX => parameter.with(|value| node.destroy_hwctx(value)),
        nr::CONFIG_HWCTX => parameter.with(|value| node.config_hwctx(value)),
        nr::CREATE_BO => parameter.with(|value| node.create_bo(value)),
        nr::GET_BO_INFO => parameter.with(|value| node.bo_info(value)),
        nr::SYNC_BO => parameter.with(|value| node.sync_bo(value)),
        nr::EXEC_CMD => parameter.with(|value| node.exec(value)),
        nr::GET_INFO => parameter.with(|value| node.get_info(value)),
        nr::SET_STATE => parameter.with(|value| node.set_state(value)),
        nr::WAIT_CMD => parameter.with(|value| node.wait_cmd(value)),
        nr::GET_ARRAY => parameter.with(|value| node.get_array(value)),
        nr::GEM_CLOSE => parameter.with(|value| node.close_bo(value)),
        nr::PRIME_HANDLE_TO_FD => parameter.with(|value| node.export_bo(value)),
        nr::PRIME_FD_TO_HANDLE => parameter.with(|value| node.import_bo(value)),
        nr::SYNCOBJ_CREATE => parameter.with(|value| node.create_syncobj(value)),
        nr::SYNCOBJ_DESTROY => parameter.with(|value| node.destroy_syncobj(value)),
        nr::SYNCOBJ_HANDLE_TO_FD => parameter.with(|value| node.export_syncobj(value)),
        nr::SYNCOBJ_FD_TO_HANDLE => parameter.with(|value| node.import_syncobj(value)),
        nr::SYNCOBJ_TIMELINE_WAIT => parameter.with(|value| node.wait_timeline(value)),
        nr::SYNCOBJ_TIMELINE_SIGNAL => parameter.with(|value| node.signal_timeline(value)),
        _ => node.unsupported(),
    }
}

/// Where the caller has the structure of an ioctl, and how long its own is.
struct Parameter {
    address: u64,
    bytes: usize,
}

impl Parameter {
    /// Copies the structure in, calls, and copies it back, whatever came of the call.
    fn with<T: Plain>(&self, call: impl FnOnce(&mut T) -> Answer) -> Answer {
        let mut value = user::read_parameter(self.address, self.bytes)?;
        let answer = call(&mut value);
        user::write_parameter(self.address, self.bytes, value);
        answer
    }
}
