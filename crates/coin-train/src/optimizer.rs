//! The optimizer: scaling and clipping of gradients, learning rate, AdamW, and the loss scale for f16.

mod adamw;
mod gradients;
mod loss_scale;
mod schedule;

pub use adamw::AdamW;
pub use gradients::clip_global_norm;
pub(crate) use gradients::scale_gradients;
pub use loss_scale::LossScale;
pub(crate) use schedule::LinearSchedule;
