//! Which of the devices that XRT lists is the NPU: cards of the Alveo family are devices of XRT, too.

use super::failure::Failure;
use super::handles::Accelerator;
use super::library::Shim;
use super::{diagnose, geometry};
use crate::{DeviceInfo, Error, Obstacle, Result};

/// How many devices are looked at; XRT tells no number.
const MOST: u32 = 16;

/// Opens the first device that there are kernels for.
///
/// # Errors
/// [`Error::Unavailable`]: why the first that did not open did not, or else how XRT calls those that did.
pub(super) fn first_npu(shim: Shim) -> Result<(Accelerator, DeviceInfo)> {
    let (mut names, mut refused) = (Vec::new(), None);
    for index in 0..MOST {
        let opened = Accelerator::open(shim, index).and_then(|device| Ok((device.name()?, device)));
        match opened {
            Ok((name, device)) => match geometry::info(&name) {
                Some(info) => return Ok((device, info)),
                None => names.push(format!("\"{name}\"")),
            },
            Err(failure) => {
                // XRT:system.cpp says so of an index past the last; of any other one that fails, the next may be the NPU.
                let past_the_last = failure.why.contains("No such device with index");
                if !past_the_last || index == 0 {
                    refused.get_or_insert(failure);
                }
                if past_the_last {
                    break;
                }
            }
        }
    }
    Err(no_npu(&names, refused.as_ref()))
}

fn no_npu(names: &[String], refused: Option<&Failure>) -> Error {
    if let Some(failure) = refused {
        return diagnose::explain(failure, &diagnose::Machine::look());
    }
    diagnose::unavailable(
        Obstacle::Generation,
        format!("XRT has {}, which is no NPU that this program has kernels for", names.join(" and ")),
        "compute on the CPU instead (`--device cpu`), and tell the project that name",
    )
}
