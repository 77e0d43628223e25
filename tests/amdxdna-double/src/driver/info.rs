//! What the driver tells of device, contexts and memory (XDNA:drivers/accel/amdxdna/aie2_pci.c, npu1_regs.c).

use super::{Node, State};
use crate::abi::{
    self, BoUsage, GetArray, HwctxEntry, Info, OneByte, QueryAieMetadata, QueryAieVersion, QueryClock,
    QueryClocks, QueryFirmware, QueryTile, ResourceInfo,
};
use crate::errno::{Answer, EINVAL, EOPNOTSUPP};
use crate::user::{self, Plain};

/// The array of this generation: five columns of a shim, a memtile and four cores.
const METADATA: QueryAieMetadata = QueryAieMetadata {
    col_size: 1 << 25,
    cols: 5,
    rows: 6,
    version: QueryAieVersion { major: 1, minor: 1 },
    tile_core: QueryTile {
        row_count: 4,
        row_start: 2,
        dma_channel_count: 2,
        lock_count: 16,
        event_reg_count: 4,
        pad: [0; 3],
    },
    tile_mem: QueryTile {
        row_count: 1,
        row_start: 1,
        dma_channel_count: 6,
        lock_count: 64,
        event_reg_count: 5,
        pad: [0; 3],
    },
    tile_shim: QueryTile {
        row_count: 1,
        row_start: 0,
        dma_channel_count: 2,
        lock_count: 16,
        event_reg_count: 4,
        pad: [0; 3],
    },
};
/// The firmware that Linux distributions carry for it.
const FIRMWARE: QueryFirmware = QueryFirmware { major: 1, minor: 5, patch: 5, build: 391 };
/// The highest of its clocks, MHz: of the controller, and of the array.
const CLOCKS: (u32, u32) = (847, 1600);

/// Gives a structure back, and its length; a shorter buffer is refused, with the length it should have.
fn give<T: Plain>(argument: &mut Info, value: T) -> Answer {
    let room = argument.buffer_size as usize;
    argument.buffer_size = u32::try_from(size_of::<T>()).map_err(|_| EINVAL)?;
    if room < size_of::<T>() {
        return Err(EINVAL);
    }
    user::write(argument.buffer, value)
}

fn clock(name: &str, freq_mhz: u32) -> QueryClock {
    let mut clock = QueryClock { freq_mhz, ..QueryClock::default() };
    for (place, byte) in clock.name.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    clock
}

fn state_of(value: u8) -> OneByte {
    OneByte { value, ..OneByte::default() }
}

impl Node {
    pub(crate) fn get_info(&self, argument: &mut Info) -> Answer {
        let state = self.state()?;
        match argument.param {
            abi::get::AIE_METADATA => give(argument, METADATA),
            abi::get::AIE_VERSION => give(argument, METADATA.version),
            abi::get::CLOCKS => {
                let (controller, array) = CLOCKS;
                let clocks = QueryClocks {
                    mp_npu_clock: clock("MP-NPU Clock", controller),
                    h_clock: clock("H Clock", array),
                };
                give(argument, clocks)
            }
            abi::get::FIRMWARE => give(argument, FIRMWARE),
            abi::get::POWER_MODE => give(argument, state_of(state.power_mode)),
            abi::get::FORCE_PREEMPT => give(argument, state_of(state.force_preempt)),
            abi::get::FRAME_BOUNDARY_PREEMPT => give(argument, state_of(state.frame_boundary_preempt)),
            abi::get::RESOURCES => {
                let tasks = state.contexts.all.len() as u64;
                let info = ResourceInfo {
                    npu_clk_max: CLOCKS.1.into(),
                    npu_tops_max: 10,
                    npu_task_max: 6,
                    npu_tops_curr: 10,
                    npu_task_curr: tasks,
                };
                give(argument, info)
            }
            // Status of tiles, sensors, telemetry: there are no tiles to ask.
            _ => Err(EOPNOTSUPP),
        }
    }

    pub(crate) fn set_state(&self, argument: &Info) -> Answer {
        let mut state = self.state()?;
        if (argument.buffer_size as usize) < size_of::<OneByte>() {
            return Err(EINVAL);
        }
        let OneByte { value, .. } = user::read(argument.buffer)?;
        match argument.param {
            abi::set::POWER_MODE => state.power_mode = value,
            abi::set::FORCE_PREEMPT => state.force_preempt = value,
            abi::set::FRAME_BOUNDARY_PREEMPT => state.frame_boundary_preempt = value,
            _ => return Err(EOPNOTSUPP),
        }
        Ok(())
    }

    pub(crate) fn get_array(&self, argument: &mut GetArray) -> Answer {
        let mut state = self.state()?;
        match argument.param {
            abi::array::HW_CONTEXTS => give_all(argument, &state.contexts()),
            abi::array::BO_USAGE => {
                let usage = state.usage(self.fd)?;
                give_all(argument, &[usage])
            }
            _ => Err(EOPNOTSUPP),
        }
    }
}

/// Gives as many entries as there is room for, and says how many there are.
fn give_all<T: Plain>(argument: &mut GetArray, entries: &[T]) -> Answer {
    if (argument.element_size as usize) < size_of::<T>() {
        return Err(EINVAL);
    }
    let step = u64::from(argument.element_size);
    for (place, entry) in (0..u64::from(argument.num_element)).zip(entries) {
        user::write(argument.buffer + place * step, *entry)?;
    }
    argument.num_element = u32::try_from(entries.len()).map_err(|_| EINVAL)?;
    argument.element_size = u32::try_from(size_of::<T>()).map_err(|_| EINVAL)?;
    Ok(())
}

impl State {
    fn contexts(&self) -> Vec<HwctxEntry> {
        let mut entries: Vec<HwctxEntry> = self
            .contexts
            .all
            .iter()
            .map(|(handle, context)| HwctxEntry {
                context_id: *handle,
                start_col: 5 - context.columns,
                num_col: context.columns,
                hwctx_id: *handle,
                pid: std::process::id().into(),
                command_submissions: context.submitted,
                command_completions: context.ended,
                errors: context.errors,
                priority: context.qos.priority.into(),
                state: u32::from(context.ended < context.submitted),
                gops: context.qos.gops,
                fps: context.qos.fps,
                dma_bandwidth: context.qos.dma_bandwidth,
                latency: context.qos.latency,
                frame_exec_time: context.qos.frame_exec_time,
                ..HwctxEntry::default()
            })
            .collect();
        entries.sort_by_key(|entry| entry.context_id);
        entries
    }

    fn usage(&mut self, fd: i32) -> Answer<BoUsage> {
        let client = self.client(fd)?;
        let mut usage = BoUsage { pid: std::process::id().into(), ..BoUsage::default() };
        for (_, object) in client.objects() {
            let len = object.len() as u64;
            match object.kind() {
                abi::bo::DEV => (),
                abi::bo::SHARE => usage.total_usage += len,
                _ => {
                    usage.total_usage += len;
                    usage.internal_usage += len;
                }
            }
        }
        usage.heap_usage = client.heap.as_ref().map_or(0, |heap| heap.taken_bytes());
        Ok(usage)
    }
}
