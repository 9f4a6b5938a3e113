//! How the settings of a loss are defined.

/// Defines the settings of a loss: a struct with a default and a `with_` method for each field. It reads and writes with
/// serde (a missing key takes its default, an unknown key is refused) and is one of burn's `Config`s.
///
/// burn's own derive is not used, since it refuses a file that leaves out a key with a default.
macro_rules! config {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $field:ident / $with:ident: $type:ty = $default:expr,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)+ }

        impl $name {
            /// Returns the defaults.
            pub fn new() -> Self {
                $name { $($field: $default,)+ }
            }

            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                pub fn $with(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl burn::config::Config for $name {}
    };
}

pub(crate) use config;
