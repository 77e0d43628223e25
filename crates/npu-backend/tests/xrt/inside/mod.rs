//! What is played inside the stage. Each test is started by one outside (`main.rs`).

mod bytes;
mod lives;
mod trouble;

use std::io::Write;

use npu_backend::Device;
use npu_backend::xrt::XrtDevice;

#[test]
#[ignore = "played inside the stage"]
fn opening() {
    let said = match XrtDevice::open() {
        Ok(device) => format!("opened {}", device.info().name),
        Err(error) => error.to_string(),
    };
    writeln!(std::io::stdout(), "{said}").unwrap();
}
