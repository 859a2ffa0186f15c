//! Whether the database takes writes: where none was made for a while, or the last one failed, a write of no
//! consequence tells.

use super::database::Store;
use super::error::StoreError;
use super::queue::Urgency;
use super::sql::Statement;
use super::writable::Refused;

impl Store {
    /// Why the database takes no writes, if it does not.
    pub fn refused_write(&self) -> Option<Refused> {
        if let Err(error) = self.engine.check() {
            self.writable.failed(&error);
        }
        self.writable.refused()
    }

    /// Writes what nobody reads, where it is in doubt whether that can be done.
    pub async fn probe(&self) {
        if !self.writable.is_in_doubt() {
            return;
        }
        let Err(error) = self.write_probe().await else {
            return;
        };
        // A queue that is long says that writes are made.
        if !matches!(error, StoreError::Queue) {
            self.writable.failed(&error);
        }
    }

    async fn write_probe(&self) -> Result<(), StoreError> {
        let failed = self.writable.refused().is_some();
        let mut write = self.write_as(Urgency::Change, "probe", 0).await?;
        // After a failure as much as a large write needs: on a full disk a small one may find room in what
        // the log has already.
        let small = "UPDATE probe SET number = number + 1";
        let statement = match failed {
            true => Statement::each(
                "UPDATE probe SET number = number + 1, filler = randomblob(65536)",
                small,
            ),
            false => Statement::new(small),
        };
        statement.execute(write.on().await?).await?;
        write.commit().await
    }
}
