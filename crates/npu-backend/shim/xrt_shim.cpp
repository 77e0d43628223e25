// The table of xrt_shim.h over XRT 2.17 to 2.25. Each function is the C++ call of its name and nothing more: what is
// decided, is decided by the caller.
#include "xrt_shim.h"

#if __has_include(<xrt/experimental/xrt_xclbin.h>)
#include <xrt/experimental/xrt_kernel.h>
#include <xrt/experimental/xrt_xclbin.h>
#else
#include <experimental/xrt_kernel.h>
#include <experimental/xrt_xclbin.h>
#endif
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>

#include "waiting.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

struct xrt_shim_device {
    xrt::device device;
};
struct xrt_shim_xclbin {
    xrt::xclbin xclbin;
};
struct xrt_shim_context {
    xrt::hw_context context;
};
struct xrt_shim_kernel {
    xrt::kernel kernel;
};
struct xrt_shim_bo {
    xrt::bo bo;
};
struct xrt_shim_run {
    xrt::run run;
    // By itself, not as a part of a list.
    bool started = false;
};
struct xrt_shim_runlist {
    xrt::runlist list;
    // In order, to find the number of one that failed.
    std::vector<xrt::run> runs;
    // A wait has failed midway: XRT may take the list for ended from then on, and well.
    bool untold = false;
};

namespace {

xrt_shim_status failed(xrt_shim_error *error, xrt_shim_cause cause, int code, std::size_t index, const char *what) {
    error->cause = cause;
    error->code = code;
    error->index = static_cast<std::uint32_t>(index);
    const std::size_t len = std::min(std::strlen(what), sizeof error->message - 1);
    std::memcpy(error->message, what, len);
    error->message[len] = '\0';
    return XRT_SHIM_FAILED;
}

// Runs `call`, which answers a status, and turns what it throws into an error.
template <typename Call>
xrt_shim_status guarded(xrt_shim_error *error, Call &&call) noexcept {
    try {
        return call();
    } catch (const xrt::run::command_error &e) {
        return failed(error, XRT_SHIM_CAUSE_COMMAND, e.get_command_state(), 0, e.what());
    } catch (const std::system_error &e) {
        return failed(error, XRT_SHIM_CAUSE_SYSTEM, e.code().value(), 0, e.what());
    } catch (const std::bad_alloc &e) {
        return failed(error, XRT_SHIM_CAUSE_MEMORY, 0, 0, e.what());
    } catch (const std::exception &e) {
        return failed(error, XRT_SHIM_CAUSE_RUNTIME, 0, 0, e.what());
    } catch (...) {
        return failed(error, XRT_SHIM_CAUSE_UNKNOWN, 0, 0, "an exception of unknown type");
    }
}

// Hands what `make` makes to the caller as a handle.
template <typename Handle, typename Make>
xrt_shim_status created(Handle **out, xrt_shim_error *error, Make &&make) noexcept {
    *out = nullptr;
    return guarded(error, [&] {
        *out = new Handle{make()};
        return XRT_SHIM_OK;
    });
}

// Sends std::cout to standard error while it lives. What the driver does not take back of a device that is gone, its plugin says
// on std::cout (amd/xdna-driver:src/shim/buffer.cpp, ~drm_bo), where programs write their text.
class OutputKeptClean {
  public:
    OutputKeptClean() : alone(mutex()), before(std::cout.rdbuf(std::cerr.rdbuf())) {}
    ~OutputKeptClean() { std::cout.rdbuf(before); }
    OutputKeptClean(const OutputKeptClean &) = delete;
    OutputKeptClean &operator=(const OutputKeptClean &) = delete;

  private:
    static std::mutex &mutex() {
        static std::mutex one;
        return one;
    }
    std::lock_guard<std::mutex> alone;
    std::streambuf *before;
};

// Closing does not fail: XRT's destructors catch what the driver answers them, and log it. One that threw all the same would
// end the process (std::terminate), as destructors do that throw; nothing could be told, and nothing saved.
template <typename Handle>
void closed(Handle *handle) noexcept {
    const OutputKeptClean output;
    delete handle;
}

// XRT ends the process where a run goes whose command looks under way (2.23 and later: xrt_kernel.cpp, ~run_impl). Such a run
// stays, and what it needs stays with it: its memory is the driver's still.
template <>
void closed(xrt_shim_run *run) noexcept {
    try {
        if (run != nullptr && run->started && under_way(run->run.state())) return;
    } catch (...) {
        return;
    }
    const OutputKeptClean output;
    delete run;
}

xrt_shim_status forgotten(xrt_shim_error *error) {
    return failed(error, XRT_SHIM_CAUSE_FORGOTTEN, ERT_CMD_STATE_NEW, 0,
                  "the driver took the command and ended it without running it: it has lost its way to the firmware");
}

xrt_shim_status device_open(std::uint32_t index, xrt_shim_device **out, xrt_shim_error *error) {
    return created(out, error, [&] { return xrt::device{index}; });
}

xrt_shim_status device_name(xrt_shim_device *device, char *out, std::size_t len_bytes, xrt_shim_error *error) {
    return guarded(error, [&] {
        const std::string name = device->device.get_info<xrt::info::device::name>();
        if (len_bytes == 0) return XRT_SHIM_OK;
        const std::size_t len = std::min(name.size(), len_bytes - 1);
        std::memcpy(out, name.data(), len);
        out[len] = '\0';
        return XRT_SHIM_OK;
    });
}

xrt_shim_status xclbin_open(const void *bytes, std::size_t len_bytes, xrt_shim_xclbin **out, xrt_shim_error *error) {
    return created(out, error, [&] {
        const char *first = static_cast<const char *>(bytes);
        return xrt::xclbin{std::vector<char>(first, first + len_bytes)};
    });
}

xrt_shim_status xclbin_register(xrt_shim_xclbin *xclbin, xrt_shim_device *device, xrt_shim_error *error) {
    return guarded(error, [&] {
        device->device.register_xclbin(xclbin->xclbin);
        return XRT_SHIM_OK;
    });
}

xrt_shim_status context_open(xrt_shim_device *device, xrt_shim_xclbin *xclbin, xrt_shim_context **out,
                             xrt_shim_error *error) {
    return created(out, error, [&] { return xrt::hw_context{device->device, xclbin->xclbin.get_uuid()}; });
}

xrt_shim_status kernel_open(xrt_shim_context *context, xrt_shim_xclbin *xclbin, const char *prefix,
                            xrt_shim_kernel **out, xrt_shim_error *error) {
    return created(out, error, [&] {
        const auto kernels = xclbin->xclbin.get_kernels();
        if (kernels.empty()) throw std::runtime_error("the xclbin has no kernel");
        const auto named = [&](const xrt::xclbin::kernel &kernel) { return kernel.get_name().rfind(prefix, 0) == 0; };
        const auto found = std::find_if(kernels.begin(), kernels.end(), named);
        const auto &chosen = found == kernels.end() ? kernels.front() : *found;
        return xrt::kernel{context->context, chosen.get_name()};
    });
}

xrt_shim_status kernel_group_id(xrt_shim_kernel *kernel, std::uint32_t argument, std::uint32_t *out,
                                xrt_shim_error *error) {
    return guarded(error, [&] {
        *out = static_cast<std::uint32_t>(kernel->kernel.group_id(static_cast<int>(argument)));
        return XRT_SHIM_OK;
    });
}

xrt_shim_status bo_create(xrt_shim_device *device, std::size_t len_bytes, std::uint32_t memory, std::uint32_t group,
                          xrt_shim_bo **out, xrt_shim_error *error) {
    return created(out, error, [&] {
        const auto flags =
            memory == XRT_SHIM_MEMORY_CACHEABLE ? xrt::bo::flags::cacheable : xrt::bo::flags::host_only;
        return xrt::bo{device->device, len_bytes, flags, static_cast<xrt::memory_group>(group)};
    });
}

xrt_shim_status bo_create_part(xrt_shim_bo *whole, std::size_t offset_bytes, std::size_t len_bytes, xrt_shim_bo **out,
                               xrt_shim_error *error) {
    return created(out, error, [&] { return xrt::bo{whole->bo, len_bytes, offset_bytes}; });
}

xrt_shim_status bo_map(xrt_shim_bo *bo, void **out, xrt_shim_error *error) {
    *out = nullptr;
    return guarded(error, [&] {
        *out = bo->bo.map<char *>();
        if (*out == nullptr) throw std::runtime_error("the buffer object has no memory in this process");
        return XRT_SHIM_OK;
    });
}

xrt_shim_status bo_sync(xrt_shim_bo *bo, std::uint32_t direction, std::size_t offset_bytes, std::size_t len_bytes,
                        xrt_shim_error *error) {
    return guarded(error, [&] {
        const auto way = direction == XRT_SHIM_FROM_DEVICE ? XCL_BO_SYNC_BO_FROM_DEVICE : XCL_BO_SYNC_BO_TO_DEVICE;
        bo->bo.sync(way, len_bytes, offset_bytes);
        return XRT_SHIM_OK;
    });
}

xrt_shim_status run_create(xrt_shim_kernel *kernel, xrt_shim_run **out, xrt_shim_error *error) {
    *out = nullptr;
    return guarded(error, [&] {
        *out = new xrt_shim_run{xrt::run{kernel->kernel}, false};
        return XRT_SHIM_OK;
    });
}

template <typename Value>
xrt_shim_status set(xrt_shim_run *run, std::uint32_t argument, const Value &value, xrt_shim_error *error) {
    return guarded(error, [&] {
        run->run.set_arg(static_cast<int>(argument), value);
        return XRT_SHIM_OK;
    });
}

xrt_shim_status run_set_u32(xrt_shim_run *run, std::uint32_t argument, std::uint32_t value, xrt_shim_error *error) {
    return set(run, argument, value, error);
}

xrt_shim_status run_set_u64(xrt_shim_run *run, std::uint32_t argument, std::uint64_t value, xrt_shim_error *error) {
    return set(run, argument, value, error);
}

xrt_shim_status run_set_bo(xrt_shim_run *run, std::uint32_t argument, xrt_shim_bo *bo, xrt_shim_error *error) {
    return set(run, argument, bo->bo, error);
}

xrt_shim_status run_start(xrt_shim_run *run, xrt_shim_error *error) {
    return guarded(error, [&] {
        // One that is refused has ended: XRT takes it so, too.
        run->started = false;
        const SignalsHeld held;
        run->run.start();
        run->started = true;
        return XRT_SHIM_OK;
    });
}

xrt_shim_status run_wait(xrt_shim_run *run, std::uint64_t timeout_ns, xrt_shim_error *error) {
    return guarded(error, [&] {
        const auto done = [&] { return !under_way(run->run.state()); };
        if (timeout_ns != XRT_SHIM_FOREVER && !looked_for(timeout_ns, done)) return XRT_SHIM_EXPIRED;
        for (milliseconds left = patience;; left -= nap) {
            try {
                const SignalsHeld held;
                // wait2 throws what went wrong, which wait does not.
                run->run.wait2(forever);
                return XRT_SHIM_OK;
            } catch (const xrt::run::command_error &e) {
                if (!under_way(e.get_command_state())) throw;
            } catch (const std::system_error &e) {
                if (e.code().value() != EINTR || left.count() <= 0) throw;
            } catch (const std::runtime_error &) {
                // XRT has no word for a state under way either, once the driver's wait has ended.
                if (done()) throw;
            }
            if (left.count() <= 0) {
                // As XRT does with those of a list: nobody else will write it any more, and the run can go.
                run->run.get_ert_packet()->state = ERT_CMD_STATE_ABORT;
                return forgotten(error);
            }
            std::this_thread::sleep_for(nap);
        }
    });
}

void run_give_up(xrt_shim_run *run) noexcept {
    try {
        if (run->started && under_way(run->run.state())) run->run.get_ert_packet()->state = ERT_CMD_STATE_ABORT;
    } catch (...) {
        // What cannot be asked stays as it is, and is left to its memory.
    }
}

xrt_shim_status runlist_create(xrt_shim_context *context, xrt_shim_runlist **out, xrt_shim_error *error) {
    *out = nullptr;
    return guarded(error, [&] {
        *out = new xrt_shim_runlist{xrt::runlist{context->context}, {}, false};
        return XRT_SHIM_OK;
    });
}

xrt_shim_status runlist_add(xrt_shim_runlist *list, xrt_shim_run *run, xrt_shim_error *error) {
    return guarded(error, [&] {
        list->runs.reserve(list->runs.size() + 1);
        // By reference: the overload that takes a temporary is younger than XRT 2.19.
        const xrt::run &shared = run->run;
        list->list.add(shared);
        list->runs.push_back(shared);
        return XRT_SHIM_OK;
    });
}

xrt_shim_status runlist_execute(xrt_shim_runlist *list, xrt_shim_error *error) {
    return guarded(error, [&] {
        list->untold = false;
        const SignalsHeld held;
        list->list.execute();
        return XRT_SHIM_OK;
    });
}

// Waits for a list whose outcome XRT still knows.
xrt_shim_status told(xrt_shim_runlist *list, std::uint64_t timeout_ns, xrt_shim_error *error) {
    try {
        if (timeout_ns == XRT_SHIM_FOREVER) {
            const SignalsHeld held;
            list->list.wait(forever);
            return XRT_SHIM_OK;
        }
        return looked_for(timeout_ns, [&] { return finished(list->list, 0); }) ? XRT_SHIM_OK : XRT_SHIM_EXPIRED;
    } catch (const xrt::runlist::command_error &e) {
        if (under_way(e.get_command_state())) throw;
        const auto failing = e.get_run().get_handle();
        const auto same = [&](const xrt::run &run) { return run.get_handle() == failing; };
        const auto found = std::find_if(list->runs.begin(), list->runs.end(), same);
        const auto index = found == list->runs.end() ? 0 : std::distance(list->runs.begin(), found);
        return failed(error, XRT_SHIM_CAUSE_COMMAND, e.get_command_state(), static_cast<std::size_t>(index), e.what());
    }
}

xrt_shim_status runlist_wait(xrt_shim_runlist *list, std::uint64_t timeout_ns, xrt_shim_error *error) {
    return guarded(error, [&] {
        if (!list->untold) {
            try {
                return told(list, timeout_ns, error);
            } catch (const xrt::runlist::command_error &) {
                // The driver's wait has ended, the commands have not.
                list->untold = true;
            } catch (...) {
                list->untold = true;
                throw;
            }
        }
        constexpr auto most_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds{patience}.count());
        if (looked_for(std::min(timeout_ns, most_ns), [&] { return idle(list->list, 0); })) {
            return failed(error, XRT_SHIM_CAUSE_COMMAND, ERT_CMD_STATE_ABORT, 0,
                          "the wait ended before the commands did, and XRT does not tell any more how they ended");
        }
        return timeout_ns < most_ns ? XRT_SHIM_EXPIRED : forgotten(error);
    });
}

const xrt_shim_api table = {
    XRT_SHIM_ABI,
    sizeof(xrt_shim_api),
    device_open,
    device_name,
    closed<xrt_shim_device>,
    xclbin_open,
    xclbin_register,
    closed<xrt_shim_xclbin>,
    context_open,
    closed<xrt_shim_context>,
    kernel_open,
    kernel_group_id,
    closed<xrt_shim_kernel>,
    bo_create,
    bo_create_part,
    bo_map,
    bo_sync,
    closed<xrt_shim_bo>,
    run_create,
    run_set_u32,
    run_set_u64,
    run_set_bo,
    run_start,
    run_wait,
    run_give_up,
    closed<xrt_shim_run>,
    runlist_create,
    runlist_add,
    runlist_execute,
    runlist_wait,
    closed<xrt_shim_runlist>,
};

}  // namespace

const xrt_shim_api *xrt_shim_get_api(void) { return &table; }
