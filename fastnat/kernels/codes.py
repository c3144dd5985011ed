"""What can become of a fit, as the integers that kernels write; `fastnat.Status` names them."""

OK = 0
BOUNDARY = 1
NO_DATA = 2
NAN_INPUT = 3
INVALID_INPUT = 4
SIGMA_ZERO = 5
SIGMA_INFINITE = 6
MU_INFINITE = 7
UNBOUNDED = 8
SINGULAR = 9
NOT_IDENTIFIED = 10
SADDLE = 11
MAX_ITER = 12
