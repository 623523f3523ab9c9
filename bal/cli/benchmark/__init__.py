"""What `bal bench` measures with."""
