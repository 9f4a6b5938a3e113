//! What the command line asks for.

use std::fmt::Display;
use std::str::FromStr;

/// Devices, where no flag names them.
const DEVICES: &str = "COIN_BENCH_DEVICES";

#[derive(Debug, Clone)]
pub struct Options {
    /// Names of devices, all of which can be used.
    pub devices: Vec<String>,
    /// What names of cases begin with; empty for all.
    pub only: Vec<String>,
    /// The way in which cases are done, if one is asked for.
    pub variant: Option<String>,
    /// Batch and width of losses in addition to the list, or in place of it where nothing else is asked for.
    pub loss: Vec<(usize, usize)>,
    /// The most operations of a case, in 10^9.
    pub at_most: Option<f64>,
    /// The most memory of a case beside its inputs, in GiB.
    pub memory: f64,
    /// Whether every case is run once and no more.
    pub once: bool,
    /// Whether to measure how cost grows, in place of the list.
    pub scaling: bool,
    /// File for the texts that are tokenized.
    pub texts: Option<String>,
    /// File for the lines of JSON.
    pub out: Option<String>,
}

impl Options {
    /// # Errors
    /// A flag is unknown or has no usable value.
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
                // What cargo adds.
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
