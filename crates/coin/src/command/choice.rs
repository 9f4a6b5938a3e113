//! Enums of the libraries as values of options. The names are serde's, so they are the same on the command line, in run files and
//! in summaries.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use coin::data::Component;
use coin::data::glue::Split;
use coin::data::pairs::{Negatives, RewordedSide};
use coin::eval::parser::AnswerParser;
use coin::eval::{LongPrompts, Preset};
use coin::model::{FloatType, Quantization};
use coin::train::config::TrainPreset;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// An enum whose variants are the values of an option.
pub trait Choice: DeserializeOwned + PartialEq + Clone + Send + Sync + 'static {
    /// The help text of a value; `None` if the option does not accept it.
    fn help(&self) -> Option<&'static str>;
}

/// The parser of an option with the values of `T`.
pub fn choices<T: Choice>() -> impl TypedValueParser<Value = T> {
    let value = |(name, value): (&'static str, T)| Some(PossibleValue::new(name).help(value.help()?));
    PossibleValuesParser::new(named::<T>().filter_map(value)).try_map(|name| read::<T>(&name))
}

/// The name of a value, for the default of an option.
pub fn name<T: Choice>(value: T) -> &'static str {
    named::<T>().find(|(_, other)| *other == value).map_or("", |(name, _)| name)
}

/// The values of `T` with their names, in the order of their declaration.
fn named<T: Choice>() -> impl Iterator<Item = (&'static str, T)> {
    let mut names: &[&str] = &[];
    // Always fails, after it has recorded the names.
    let _ = T::deserialize(Names(&mut names));
    names.iter().filter_map(|name| Some((*name, read(name).ok()?)))
}

fn read<T: Choice>(name: &str) -> Result<T, Error> {
    let text: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(text)
}

/// A deserializer without a value, which records the names of an enum's variants.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not an enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = names;
        Err(Error::custom("only the names"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl Choice for Preset {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            Preset::Strict => "The same examples at every level, and the marker of training",
            Preset::Paper => "The details of the released program",
        })
    }
}

impl Choice for AnswerParser {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            AnswerParser::Released => "The released program's parser: the answer begins with a label word",
            AnswerParser::Normalizing => "A label word anywhere in the answer; case and punctuation do not matter",
            AnswerParser::Likelihood => "The most likely label word",
            AnswerParser::LikelihoodPerToken => "The label word with the highest likelihood per token",
        })
    }
}

impl Choice for LongPrompts {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            LongPrompts::Refuse => "Ends with an error before the evaluation starts",
            LongPrompts::Shorten => "Cuts words off the end of the input and counts these prompts",
            LongPrompts::Skip => "Leaves the example out at every level and instruction and counts it",
        })
    }
}

impl Choice for Component {
    fn help(&self) -> Option<&'static str> {
        match self {
            Component::System => Some("The system text, perturbed by this command"),
            Component::Instruction => Some("The instructions, as the prompts file has them"),
            Component::Demonstrations => Some("The inputs of the demonstrations, perturbed by this command"),
            Component::Input => None,
        }
    }
}

impl Choice for Split {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            Split::Train => "The training split",
            Split::Validation => "The validation split; the examples shown are not evaluated",
        })
    }
}

impl Choice for Negatives {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            Negatives::Random => "Any row with another answer",
            Negatives::Nearest => "The row with another answer that has the most words in common",
        })
    }
}

impl Choice for RewordedSide {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            RewordedSide::Both => "The originals and the paraphrases",
            RewordedSide::Original => "The originals only",
            RewordedSide::Paraphrase => "The paraphrases only",
        })
    }
}

impl Choice for TrainPreset {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            TrainPreset::Strict => "This project's: the boundary from token offsets, long prompts cut in the middle",
            TrainPreset::Paper => {
                "The released program's: the boundary from the prompt alone, long rows cut on the right"
            }
        })
    }
}

impl Choice for FloatType {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            FloatType::F32 => "32 bits",
            FloatType::F16 => "16 bits, with a small range",
            FloatType::Bf16 => "16 bits, with the range of f32",
        })
    }
}

impl Choice for Quantization {
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            Quantization::Int8 => "8 bits per weight",
            Quantization::Int4 => "4 bits per weight",
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn parsed<T: Choice>(text: &str) -> Result<T, String> {
        let option = Arg::new("option").long("option").value_parser(choices::<T>());
        let matches = Command::new("test").arg(option).try_get_matches_from(["test", "--option", text]);
        matches.map(|matches| matches.get_one::<T>("option").cloned().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_those_of_serde() {
        assert_eq!(parsed("likelihood-per-token"), Ok(AnswerParser::LikelihoodPerToken));
        assert_eq!(name(AnswerParser::LikelihoodPerToken), "likelihood-per-token");
        let names: Vec<&str> = named::<FloatType>().map(|(name, _)| name).collect();
        assert_eq!(names, ["f32", "f16", "bf16"]);
        let error = parsed::<Preset>("loose").unwrap_err();
        assert!(error.contains("[possible values: strict, paper]"), "{error}");
    }

    #[test]
    fn a_value_without_help_is_rejected() {
        assert_eq!(parsed("system"), Ok(Component::System));
        assert!(parsed::<Component>("input").is_err());
    }
}
