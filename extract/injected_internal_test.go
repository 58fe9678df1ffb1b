package extract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What cutAt looks for is never empty: see wrapping.
func TestWrappingsHaveALabelOrAnAfter(t *testing.T) {
	t.Parallel()
	for _, w := range wrappings {
		require.NotEmpty(t, w.front+w.end)
		require.NotEmpty(t, w.label+w.after)
	}
}

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

// A text may be shorter than any element.
func TestTextsOfOneLetter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"<", ">", "#", "a"} {
		require.Equal(t, text, string(new(trail).split([]byte(text))))
		require.False(t, onlyContext([]byte("<memory>x</memory>"+text)), text)
	}
}
