//! Shows the demo world: some instances of every task, with their answers.
//!
//! Command: `cargo run --release -p coin-examples --example show_demo_world`
//! Output:  per task four training instances, as the model reads them. A second, 20 MB.

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
