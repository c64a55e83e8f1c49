//! The limits of a receiver in their message: numbers that are not trusted until they are parsed.

use deputy_core::{Limit, LimitError, LimitOverrides};

use crate::message::ReceiverLimits;

impl ReceiverLimits {
    /// The message; `None` if no limit is set.
    pub(crate) fn of(limits: &LimitOverrides) -> Option<Box<Self>> {
        let mut message = Self::default();
        for (limit, number) in limits.iter() {
            *message.field(limit) = Some(number);
        }
        Some(message).filter(|message| *message != Self::default()).map(Box::new)
    }

    /// The limits in a message, if all are within their bounds.
    pub(crate) fn parsed(&self) -> Result<LimitOverrides, LimitError> {
        let mut message = *self;
        LimitOverrides::new(Limit::ALL.into_iter().filter_map(|limit| Some((limit, (*message.field(limit))?))))
    }
}

macro_rules! define_field {
    ($($doc:literal $variant:ident $field:ident $key:literal $wire:ident: $type:ty = $default:expr, $bounds:expr;)+) => {
        impl ReceiverLimits {
            fn field(&mut self, limit: Limit) -> &mut Option<u64> {
                match limit {
                    $(Limit::$variant => &mut self.$wire,)+
                }
            }
        }
    };
}

deputy_core::limit_table!(define_field);

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// Each limit with a different number.
    fn all() -> LimitOverrides {
        LimitOverrides::new((1..).zip(Limit::ALL).map(|(number, limit)| (limit, limit.bounds().start() + number)))
            .unwrap()
    }

    /// The limits after encoding and decoding.
    fn round_trip(limits: &LimitOverrides) -> LimitOverrides {
        let message = ReceiverLimits::of(limits).unwrap();
        ReceiverLimits::decode(message.encode_to_vec().as_slice()).unwrap().parsed().unwrap()
    }

    #[test]
    fn receiver_limits_survive_encoding_each_alone() {
        assert_eq!(round_trip(&all()), all());
        for limit in Limit::ALL {
            let one = LimitOverrides::new([(limit, *limit.bounds().end())]).unwrap();
            assert_eq!(round_trip(&one), one, "{limit}");
        }
    }

    #[test]
    fn receiver_limits_without_a_limit_are_absent() {
        assert_eq!(ReceiverLimits::of(&LimitOverrides::default()), None);
        assert_eq!(ReceiverLimits::default().parsed(), Ok(LimitOverrides::default()));
    }

    #[test]
    fn receiver_limits_out_of_bounds_are_refused() {
        for limit in Limit::ALL {
            let (least, most) = limit.bounds().into_inner();
            for number in
                [0, least - 1, most + 1, 1 << 32, u64::MAX].into_iter().filter(|n| !limit.bounds().contains(n))
            {
                let mut message = ReceiverLimits::of(&all()).unwrap();
                *message.field(limit) = Some(number);
                assert_eq!(message.parsed(), Err(LimitError { limit, number }), "{limit}");
            }
        }
    }
}
