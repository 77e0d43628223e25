//! `transcribe audio.wav`.

fn main() -> std::process::ExitCode {
    transcribe::cli::main()
}
