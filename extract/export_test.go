package extract

// The sizes of bodies, for the tests outside of the package: see ends.go.
const (
	Wholly    = wholeSize
	InPassing = inPassingSize
)
