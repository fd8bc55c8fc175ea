"""The endless job: feeds of lines, epochs, and state that outlives the process."""
