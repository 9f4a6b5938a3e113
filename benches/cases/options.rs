//! Command line options.

use std::fmt::Display;
use std::str::FromStr;

/// Environment variable with the default devices.
const DEVICES: &str = "COIN_BENCH_DEVICES";

#[derive(Debug, Clone)]
pub struct Options {
    /// Names of the devices.
    pub devices: Vec<String>,
    /// Prefixes of case names; empty for all cases.
    pub only: Vec<String>,
    /// Only cases of this variant.
    pub variant: Option<String>,
    /// Batch and width of losses to add to the list, or to measure instead of it if `only` is empty.
    pub loss: Vec<(usize, usize)>,
    /// Maximum operations of a case, in 10^9.
    pub at_most: Option<f64>,
    /// Maximum memory of a case in addition to its inputs, in GiB.
    pub memory: f64,
    /// True to run every case only once.
    pub once: bool,
    /// True to measure the growth of cost instead of the list.
    pub scaling: bool,
    /// File for the texts to tokenize.
    pub texts: Option<String>,
    /// File for the lines of JSON.
    pub out: Option<String>,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// Fails if a flag is unknown or its value is missing or invalid.
    pub fn from_arguments() -> Result<Self, String> {
        let mut devices = std::env::var(DEVICES).ok();
        let mut options = Options {
            devices: Vec::new(),
            only: Vec::new(),
            variant: None,
            loss: Vec::new(),
            at_most: None,
            memory: 7.0,
            once: false,
            scaling: false,
            texts: None,
            out: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let mut value = || words.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--device" => devices = Some(value()?),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--variant" => options.variant = Some(value()?),
                "--loss" => options.loss = value()?.split(',').map(size).collect::<Result<_, _>>()?,
                "--at-most" => options.at_most = Some(number(&name, &value()?)?),
                "--memory" => options.memory = number(&name, &value()?)?,
                "--test" => options.once = true,
                "--scaling" => options.scaling = true,
                "--texts" => options.texts = Some(value()?),
                "--out" => options.out = Some(value()?),
                // Added by cargo.
                "--bench" => {}
                _ => return Err(format!("unknown option {name}")),
            }
        }
        options.devices = match devices {
            Some(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
            None => coin::device::present(),
        };
        Ok(options)
    }
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse().map_err(|error| format!("{name} {text}: {error}"))
}

/// A size such as `8192x4096`.
fn size(text: &str) -> Result<(usize, usize), String> {
    let (batch, width) = text.split_once('x').ok_or(format!("--loss {text}: expected a size such as 8192x4096"))?;
    Ok((number("--loss", batch)?, number("--loss", width)?))
}
