//! What operators, workers, files and clocks do to an instance.

use crate::time::MonotonicTime;

use super::{DueTime, InstanceState, OperatorRequest, Required};
use crate::schedule::lease::{FilePayload, LeaseOrigin};

impl InstanceState {
    /// A number of workers use it now; `None` is a single use.
    pub(in crate::schedule) fn use_by(&mut self, users: Option<u32>, now: MonotonicTime) {
        let was_in_use = self.in_use(now);
        if self.users > 0 || users != Some(0) {
            self.used_until = self.grace(now); // from the last use on
        }
        self.users = users.unwrap_or(self.users);
        if !was_in_use && self.failures == 0 && self.record.lease.is_none() {
            self.next = DueTime::at(now);
        }
    }

    pub(in crate::schedule) fn request(&mut self, request: OperatorRequest, now: MonotonicTime) {
        self.request = self.request.max(Some(request));
        self.forget_failures();
        self.required = Required::Yes;
        self.next = DueTime::at(now);
        match request {
            OperatorRequest::Renew => self.used_until = self.grace(now),
            OperatorRequest::Revoke => self.disown_file(),
        }
    }

    pub(in crate::schedule) fn observe_file(&mut self, file: Option<FilePayload>) {
        self.file = file;
    }

    /// The clock was set back: what was obtained while it was ahead may have ended already.
    pub(in crate::schedule) fn distrust(&mut self, now: MonotonicTime) {
        let lease = self.record.lease.as_ref();
        self.distrusted = lease.is_some_and(|lease| lease.origin == LeaseOrigin::Component);
        if self.distrusted && self.failures == 0 {
            self.next = DueTime::at(now);
        }
    }

    /// The file's payload is not to be published: it was, or would be next.
    fn disown_file(&mut self) {
        let is_held = self.record.lease.as_ref().is_some_and(|lease| lease.origin == LeaseOrigin::File);
        let held = self.record.file.filter(|_| is_held);
        let Some(digest) = self.file.as_ref().map(|file| file.digest).or(held) else { return };
        self.is_dirty |= self.record.revoked != Some(digest);
        self.record.revoked = Some(digest);
    }

    /// The component is called instead: what the file holds now had its turn.
    pub(super) fn pass_file(&mut self) {
        if let Some(file) = &self.file {
            // It is saved with what the call brings.
            self.record.passed = Some(file.digest);
        }
    }
}
