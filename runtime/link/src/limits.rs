//! What a call of a receiver may use, as it travels: numbers that are anybody's until they are parsed.

use deputy_core::{Limit, LimitError, LimitOverrides};

use crate::message::ReceiverLimits;

impl ReceiverLimits {
    /// Limits as a message; none if none is set.
    pub(crate) fn of(limits: &LimitOverrides) -> Option<Box<Self>> {
        let mut message = Self::default();
        for (limit, number) in limits.iter() {
            *message.slot(limit) = Some(number);
        }
        Some(message).filter(|message| *message != Self::default()).map(Box::new)
    }

    /// Limits that a message holds.
    ///
    /// # Errors
    /// If one of them is not within its bounds.
    pub(crate) fn parsed(&self) -> Result<LimitOverrides, LimitError> {
        let mut message = self.clone();
        LimitOverrides::new(Limit::ALL.into_iter().filter_map(|limit| Some((limit, (*message.slot(limit))?))))
    }

    fn slot(&mut self, limit: Limit) -> &mut Option<u64> {
        match limit {
            Limit::Argument => &mut self.argument_bytes,
            Limit::BetweenBytes => &mut self.between_bytes_ms,
            Limit::Connect => &mut self.connect_ms,
            Limit::Cpu => &mut self.cpu_ms,
            Limit::Exchange => &mut self.exchange_ms,
            Limit::FirstByte => &mut self.first_byte_ms,
            Limit::Handles => &mut self.handles,
            Limit::Headers => &mut self.headers_bytes,
            Limit::Instances => &mut self.instances,
            Limit::LogBytes => &mut self.log_bytes,
            Limit::LogLines => &mut self.log_lines,
            Limit::Memory => &mut self.memory_bytes,
            Limit::OutputBytes => &mut self.output_bytes,
            Limit::OutputFiles => &mut self.output_files,
            Limit::Payload => &mut self.payload_bytes,
            Limit::Received => &mut self.received_bytes,
            Limit::Requests => &mut self.requests,
            Limit::Response => &mut self.response_bytes,
            Limit::SecretOperations => &mut self.secret_operations,
            Limit::Sent => &mut self.sent_bytes,
            Limit::TableElements => &mut self.table_elements,
            Limit::Tls => &mut self.tls_ms,
            Limit::Url => &mut self.url_bytes,
            Limit::Wall => &mut self.wall_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// Each limit with a number of its own.
    fn all() -> LimitOverrides {
        LimitOverrides::new((1..).zip(Limit::ALL).map(|(number, limit)| (limit, limit.bounds().start() + number)))
            .unwrap()
    }

    /// What comes of limits at the other end.
    fn sent(limits: &LimitOverrides) -> LimitOverrides {
        let message = ReceiverLimits::of(limits).unwrap();
        ReceiverLimits::decode(message.encode_to_vec().as_slice()).unwrap().parsed().unwrap()
    }

    #[test]
    fn every_limit_arrives_as_it_was_sent_and_brings_no_other_along() {
        assert_eq!(sent(&all()), all());
        for limit in Limit::ALL {
            let one = LimitOverrides::new([(limit, *limit.bounds().end())]).unwrap();
            assert_eq!(sent(&one), one, "{limit}");
        }
    }

    #[test]
    fn who_sets_no_limit_sends_nothing() {
        assert_eq!(ReceiverLimits::of(&LimitOverrides::default()), None);
        assert_eq!(ReceiverLimits::default().parsed(), Ok(LimitOverrides::default()));
    }

    #[test]
    fn a_number_that_is_not_within_its_bounds_is_refused_whatever_it_is() {
        for limit in Limit::ALL {
            let (least, most) = limit.bounds().into_inner();
            for number in
                [0, least - 1, most + 1, 1 << 32, u64::MAX].into_iter().filter(|n| !limit.bounds().contains(n))
            {
                let mut message = ReceiverLimits::of(&all()).unwrap();
                *message.slot(limit) = Some(number);
                assert_eq!(message.parsed(), Err(LimitError { limit, number }), "{limit}");
            }
        }
    }
}
