//! stub
/// x
pub fn write_tables(_only: &str) -> std::io::Result<()> {
    Ok(())
}
