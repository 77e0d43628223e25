// Runs instruction streams through AMD's XRT, as a host program for mlir-aie's designs does.
//
//   launch XCLBIN STREAM [OPTION…] BUFFER…
//
// STREAM is a file of instruction words, each BUFFER a file; after the run each buffer is written back to its file.
// Options, most of them mistakes:
//   --runlist=N       N runs in one runlist, instead of one run
//   --rounds=N        starts the run, or the runlist, so many times
//   --bytes           says the stream's length in bytes instead of words
//   --opcode=N        another opcode
//   --shift           passes the buffers one argument too early
//   --bank=N          allocates buffer N in the bank of the instructions
//   --no-push=N       does not sync buffer N to the device
//   --no-pull=N       does not sync buffer N from the device
//   --timeout=MS      waits so long at most
//   --contexts=N      makes N contexts and keeps them
//   --cycles=N        does everything N times over, from opening the device to closing it
//   --oversize        asks for a buffer that does not fit the device heap
// Prints `ok`, or the exception's type and message; then, with --cycles, what the process has open and resident.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <xrt/experimental/xrt_kernel.h>
#include <xrt/experimental/xrt_xclbin.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>

namespace {

struct Options {
    std::string xclbin, stream;
    std::vector<std::string> buffers;
    int runlist = 0, rounds = 1, opcode = 3, bank = -1, no_push = -1, no_pull = -1, timeout = 20000, contexts = 1,
        cycles = 1;
    bool bytes = false, shift = false, oversize = false;
};

std::vector<char> read(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("there is no " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

Options parse(int argc, char** argv)
{
    Options options;
    for (int index = 1; index < argc; ++index) {
        const std::string word = argv[index];
        const auto is = [&](const char* name, int& value) {
            const std::string head = std::string("--") + name + "=";
            if (word.rfind(head, 0) != 0)
                return false;
            value = std::stoi(word.substr(head.size()));
            return true;
        };
        if (is("runlist", options.runlist) || is("rounds", options.rounds) || is("opcode", options.opcode) ||
            is("bank", options.bank) || is("no-push", options.no_push) || is("no-pull", options.no_pull) ||
            is("timeout", options.timeout) || is("contexts", options.contexts) || is("cycles", options.cycles))
            continue;
        if (word == "--bytes")
            options.bytes = true;
        else if (word == "--shift")
            options.shift = true;
        else if (word == "--oversize")
            options.oversize = true;
        else if (options.xclbin.empty())
            options.xclbin = word;
        else if (options.stream.empty())
            options.stream = word;
        else
            options.buffers.push_back(word);
    }
    return options;
}

void wait(xrt::run& run, int timeout)
{
    if (run.wait2(std::chrono::milliseconds(timeout)) == std::cv_status::timeout)
        throw std::runtime_error("the wait expired");
}

void once(const Options& options)
{
    xrt::device device(0);
    const xrt::xclbin xclbin(options.xclbin);
    const auto id = device.register_xclbin(xclbin);
    std::vector<xrt::hw_context> contexts;
    for (int number = 0; number < options.contexts; ++number)
        contexts.emplace_back(device, id);
    xrt::kernel kernel(contexts.front(), "MLIR_AIE");

    const auto words = read(options.stream);
    xrt::bo stream(device, words.size(), xrt::bo::flags::cacheable, kernel.group_id(1));
    std::memcpy(stream.map<char*>(), words.data(), words.size());
    stream.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    if (options.oversize)
        xrt::bo(device, 65UL << 20, xrt::bo::flags::cacheable, kernel.group_id(1));

    const int count = static_cast<int>(options.buffers.size());
    std::vector<xrt::bo> buffers;
    for (int index = 0; index < count; ++index) {
        const auto bytes = read(options.buffers[index]);
        const auto group = kernel.group_id(index == options.bank ? 1 : 3 + index);
        buffers.emplace_back(device, bytes.size(), xrt::bo::flags::host_only, group);
        std::memcpy(buffers.back().map<char*>(), bytes.data(), bytes.size());
        if (index != options.no_push)
            buffers.back().sync(XCL_BO_SYNC_BO_TO_DEVICE);
    }

    const auto set = [&](xrt::run& run) {
        run.set_arg(0, static_cast<uint64_t>(options.opcode));
        run.set_arg(1, stream);
        run.set_arg(2, static_cast<uint32_t>(options.bytes ? words.size() : words.size() / 4));
        for (int index = 0; index < count; ++index)
            run.set_arg((options.shift ? 2 : 3) + index, buffers[index]);
    };
    if (options.runlist > 0) {
        std::vector<xrt::run> runs;
        xrt::runlist list(contexts.front());
        for (int number = 0; number < options.runlist; ++number) {
            runs.emplace_back(kernel);
            set(runs.back());
            list.add(runs.back());
        }
        for (int round = 0; round < options.rounds; ++round) {
            list.execute();
            if (list.wait(std::chrono::milliseconds(options.timeout)) == std::cv_status::timeout)
                throw std::runtime_error("the wait expired");
        }
    } else {
        xrt::run run(kernel);
        set(run);
        for (int round = 0; round < options.rounds; ++round) {
            run.start();
            wait(run, options.timeout);
        }
    }

    for (int index = 0; index < count; ++index) {
        if (index != options.no_pull)
            buffers[index].sync(XCL_BO_SYNC_BO_FROM_DEVICE);
        std::ofstream(options.buffers[index], std::ios::binary)
            .write(buffers[index].map<char*>(), static_cast<std::streamsize>(buffers[index].size()));
    }
}

long resident_kib()
{
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("VmRSS:", 0) == 0)
            return std::stol(line.substr(6));
    return 0;
}

long open_files()
{
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
}

} // namespace

int main(int argc, char** argv)
{
    const auto options = parse(argc, argv);
    int status = 0;
    for (int cycle = 0; cycle < options.cycles; ++cycle) {
        try {
            once(options);
            if (options.cycles == 1)
                std::cout << "ok\n";
        } catch (const xrt::runlist::command_error& error) {
            std::cout << "runlist::command_error " << error.get_command_state() << ": " << error.what() << '\n';
            status = 1;
        } catch (const xrt::run::command_error& error) {
            std::cout << "run::command_error " << error.get_command_state() << ": " << error.what() << '\n';
            status = 1;
        } catch (const std::system_error& error) {
            std::cout << "system_error " << error.code().value() << ": " << error.what() << '\n';
            status = 1;
        } catch (const std::exception& error) {
            std::cout << "exception: " << error.what() << '\n';
            status = 1;
        }
        // After a tenth everything has been loaded, and every pool is filled.
        if (options.cycles > 1 && (cycle == options.cycles / 10 || cycle == options.cycles - 1))
            std::cout << "cycle " << cycle << " files " << open_files() << " resident_kib " << resident_kib() << '\n';
    }
    return status;
}
