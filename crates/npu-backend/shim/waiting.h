// How the shim waits for commands: what it asks XRT in versions 2.17 to 2.25, how long, and which signals it keeps away.
#ifndef XRT_SHIM_WAITING_H
#define XRT_SHIM_WAITING_H

#include <xrt/xrt_kernel.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <thread>

namespace {

using std::chrono::milliseconds;

bool under_way(ert_cmd_state state) {
    // The numbers are not in the order of progress.
    return state == ERT_CMD_STATE_NEW || state == ERT_CMD_STATE_QUEUED || state == ERT_CMD_STATE_RUNNING ||
           state == ERT_CMD_STATE_SUBMITTED;
}

// Keeps signals from this thread during one call of the driver that a signal would end. The fifth submission of a context waits
// for a place, and is refused then; of a wait that ends so XRT thinks that the command has, and a list's outcome is lost. The
// process gets the signal in another thread, or here after the call, which the driver ends by itself: it gives a hung command
// up. What a thread does to itself is not held back.
class SignalsHeld {
  public:
    SignalsHeld() noexcept {
        sigset_t held;
        sigfillset(&held);
        for (const int own : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP}) sigdelset(&held, own);
        changed = pthread_sigmask(SIG_SETMASK, &held, &before) == 0;
    }
    ~SignalsHeld() {
        if (changed) pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    SignalsHeld(const SignalsHeld &) = delete;
    SignalsHeld &operator=(const SignalsHeld &) = delete;

  private:
    sigset_t before;
    bool changed;
};

// Without limit, in XRT's words.
constexpr milliseconds forever{0};

// How long a command may still count as under way when the driver's wait for it has ended: a little more than the two seconds
// after which AMD's driver gives a hung one up (amd/xdna-driver:src/driver/amdxdna/aie2_ctx.c, tdr_timeout_ms; with Linux's own
// the wait itself takes up to sixty). A driver that
// has lost its way to the firmware signals the fence of a command that it never runs, and leaves its state NEW.
constexpr milliseconds patience{2500};
constexpr milliseconds nap{10};

// runlist::poll() came with XRT 2.18. runlist::state() will not do: it swallows which command has failed.
template <typename List>
auto finished(const List &list, int) -> decltype(list.poll() != 0) {
    return list.poll() != 0;
}
template <typename List>
bool finished(const List &list, long) {
    return list.wait(milliseconds{1}) == std::cv_status::no_timeout;
}

// As above, of a list whose failure does not matter any more.
template <typename List>
auto idle(const List &list, int) -> decltype(list.state(), true) {
    return !under_way(list.state());
}
template <typename List>
bool idle(const List &, long) {
    return false;
}

// Looks until `done` or the time is over, ever more seldom. XRT's own waits with a limit will not do: where the driver
// waits by syncobj (XRT 2.25), one that expires is told as a command that has failed in state NEW, because the answer of
// the ioctl is not looked at (amd/xdna-driver:src/shim/platform.cpp, wait_syncobj).
template <typename Done>
bool looked_for(std::uint64_t timeout_ns, Done &&done) {
    using clock = std::chrono::steady_clock;
    constexpr std::chrono::nanoseconds longest = std::chrono::hours{24 * 365};
    constexpr std::chrono::nanoseconds seldom = std::chrono::microseconds{500};
    const auto limit = std::min<std::uint64_t>(timeout_ns, static_cast<std::uint64_t>(longest.count()));
    const auto deadline = clock::now() + std::chrono::nanoseconds{limit};
    for (std::chrono::nanoseconds pause = std::chrono::microseconds{10}; !done(); pause = std::min(2 * pause, seldom)) {
        const std::chrono::nanoseconds left = deadline - clock::now();
        if (left.count() <= 0) return false;
        std::this_thread::sleep_for(std::min(pause, left));
    }
    return true;
}

}  // namespace

#endif
