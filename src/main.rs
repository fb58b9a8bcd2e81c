//! The binary: hands over to `cli`, where `main` reads like a checklist.

#[global_allocator]
static HEAP: ringway::base::heap::Heap = ringway::base::heap::Heap;

fn main() -> std::process::ExitCode {
    ringway::cli::main()
}
