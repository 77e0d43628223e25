//! Which device to open. The one file that knows every implementor of [`Device`].

use std::fmt;

use crate::emulator::Emulator;
use crate::ops::{BuiltImages, Engine, Images, ModelledImages};
use crate::xrt::{self, XrtDevice};
use crate::{Device, Error, Obstacle, Result};

/// A wish for a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The hardware if it is there and works, else none. Never the emulator: a modelled device must be asked for.
    #[default]
    Auto,
    /// Real hardware through XRT; an error if it is not there.
    Xrt,
    /// A model of the device in software, for tests and for development without the hardware.
    Emulator,
}

impl Choice {
    /// The name used in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xrt => "xrt",
            Self::Emulator => "emulator",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Opens the device of `choice`; `None` only for [`Choice::Auto`] on a machine without one.
///
/// The emulator opened so models XDNA 1 with fast arithmetic; [`Emulator::builder`] has the rest.
///
/// # Errors
/// [`Error::Unavailable`] if a device asked for by name cannot be opened.
pub fn open(choice: Choice) -> Result<Option<Box<dyn Device>>> {
    match choice {
        // Without a node there is nothing to open, and XRT need not be loaded to find that out.
        Choice::Auto if !xrt::node_exists() => Ok(None),
        Choice::Auto => Ok(XrtDevice::open().ok().map(|device| Box::new(device) as Box<dyn Device>)),
        Choice::Emulator => Ok(Some(Box::new(Emulator::builder().open()?))),
        Choice::Xrt => Ok(Some(Box::new(XrtDevice::open()?))),
    }
}

/// Opens the device of `choice` with the overlay that serves every operation; never the emulator for
/// [`Choice::Auto`].
///
/// # Errors
/// As [`open`]; [`Error::Unavailable`] for [`Choice::Auto`] on a machine without a device; [`Error::Image`] if no kernels were
/// built for the hardware.
pub fn open_engine(choice: Choice) -> Result<Engine> {
    let device = open(choice)?.ok_or_else(|| Error::Unavailable {
        device: choice.name(),
        obstacle: Obstacle::Other,
        why: "this machine has no device that this build can drive".into(),
        hint: "run on the CPU instead (`--device cpu`)".into(),
    })?;
    let images: Box<dyn Images> = if device.info().modelled {
        Box::new(ModelledImages)
    } else {
        Box::new(BuiltImages::find(device.info().arch)?)
    };
    Engine::new(device, images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_opens_no_emulator_and_is_no_error() {
        match open(Choice::Auto) {
            Ok(None) => {}
            // A machine of those that this is for.
            Ok(Some(device)) => assert!(!device.info().modelled && xrt::node_exists()),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(Choice::default(), Choice::Auto);
    }

    #[test]
    fn the_emulator_opens_by_its_name_and_says_that_it_is_modelled() {
        match open(Choice::Emulator) {
            Ok(Some(device)) => assert!(device.info().modelled && device.info().cores() == 16),
            // It compiles the kernels' C++ when it opens.
            Err(Error::Unavailable { why, .. }) => assert!(why.contains("compiler"), "{why}"),
            Ok(None) => panic!("no device, though it was asked for by name"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_device_asked_for_by_name_is_there_or_an_error_with_reason_and_remedy() {
        match open(Choice::Xrt) {
            Err(Error::Unavailable { device, why, hint, .. }) => {
                assert!(device == "xrt" && !why.is_empty() && !hint.is_empty(), "{why}; {hint}");
            }
            Ok(Some(device)) => assert!(!device.info().modelled),
            Ok(None) => panic!("no device, though it was asked for by name"),
            Err(error) => panic!("{error}"),
        }
    }
}
