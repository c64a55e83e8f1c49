//! `[components]`: where components are found by name; and a `component` itself.

use std::path::{Path, PathBuf};

use deputy_core::ComponentRef;

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader, optional};

/// The directory that relative paths start from, and the folder in which components are found by name.
#[derive(Debug)]
pub(crate) struct ComponentBase<'c> {
    pub(crate) directory: &'c Path,
    pub(crate) folder: Option<PathBuf>,
    /// In a test, the folder for the values of secrets that are written in its file.
    pub(crate) mocks: Option<&'c Path>,
}

impl<'c> ComponentBase<'c> {
    /// Reads `[components]`; without it, or after an error, there is no folder.
    pub(crate) fn read(sink: &mut DiagnosticSink, directory: &'c Path, fields: &mut TableReader<'_>) -> Self {
        let table = fields.optional("components").and_then(|value| value.table(sink, "[components]"));
        let folder = table.and_then(|mut table| {
            let folder = table.required(sink, "folder", "\"/opt/deputy/components\"");
            table.finish(sink);
            folder?.path(sink, directory)
        });
        Self { directory, folder, mocks: None }
    }

    /// Reads `component`: `None` after an error, `Some(None)` if it is absent.
    pub(crate) fn component(
        &self,
        sink: &mut DiagnosticSink,
        fields: &mut TableReader<'_>,
    ) -> Option<Option<ComponentRef>> {
        optional(fields.optional("component"), |value| self.parsed(sink, value))
    }

    fn parsed(&self, sink: &mut DiagnosticSink, value: Located<'_>) -> Option<ComponentRef> {
        let component: ComponentRef = value.parsed(sink, "\"s3-sts\"")?;
        Some(component.of_configuration(self.directory, self.folder.as_deref()))
    }
}
