"""What both ends of the control socket say."""
