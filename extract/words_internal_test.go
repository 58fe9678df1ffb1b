package extract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each element is taken off both ends of a text, whatever its first and last letters are.
func TestInjectedTagsAtBothEnds(t *testing.T) {
	t.Parallel()
	for _, tag := range injectedTags {
		element := string(tag.open) + "x" + string(tag.close)
		for _, text := range []string{element + " hi", "hi " + element} {
			require.Equal(t, "hi", string(new(trail).split([]byte(text))), text)
		}
	}
}
