package extract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// pathClass looks at the last letters of a path before it looks at the list.
func TestPathClassesAreAllLookedAt(t *testing.T) {
	t.Parallel()
	for _, p := range pathClasses {
		for _, before := range []string{"", "/v1", "/v1/models/x"} {
			require.Equal(t, p.class, (&Request{Path: before + p.suffix}).pathClass(), "the last six letters of %s are not in pathClass, or its class is not its own", p.suffix)
		}
		require.Equal(t, Turn, (&Request{Path: p.suffix + "x"}).pathClass())
	}
	for _, path := range []string{"", "tokens", "/v1/messages", "/v1/chat/completions", "/v1/organizations"} {
		require.Equal(t, Turn, (&Request{Path: path}).pathClass(), path)
	}
}
