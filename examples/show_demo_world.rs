//! Prints instances of every task of the demo world, with their answers.
//!
//! Command: `cargo run --release -p coin-examples --example show_demo_world`
//! Output:  four training instances per task, as the model reads them. A second, 20 MB.

use coin::data::Task;
use coin::demo::World;

fn main() -> anyhow::Result<()> {
    let world = World::new(1);
    for task in Task::glue() {
        println!("{}", task.name);
        for instance in world.training(&task.name, 4)? {
            println!("    {:16} {}", task.answer(&instance)?, task.content(&instance)?);
        }
    }
    Ok(())
}
