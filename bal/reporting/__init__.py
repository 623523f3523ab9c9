"""What was refused, told to the operator: an output of its own beside those of certified readings."""

from bal.reporting.readers import Readers
from bal.reporting.reporting import Refusals, Reporting, ReportMetrics, ReportOutput

__all__ = ["Readers", "Refusals", "ReportMetrics", "ReportOutput", "Reporting"]
