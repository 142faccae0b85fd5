"""What a generated answer is worth: functions that compare what a model wrote with what was asked of it."""
