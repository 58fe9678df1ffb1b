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

func TestStems(t *testing.T) {
	t.Parallel()
	s := stemsOf("title", "re-writ", "select the ", "azimuth", "zest")
	for _, text := range []string{"title", "A Title.", "(titles)", `one\ntitle`, `\\title`, "rewrite, re-write", "to SELECT THE best", "9title", "é title", "“title”", "{title", "@title", "`title", "[title", "Azimuths", "Zest"} {
		require.True(t, s.in([]byte(text)), text)
	}
	for _, text := range []string{"", "subtitle", "titl", "atitle", "ztitle", "ATITLE", "ZTITLE", `\title`, "select then", "select the", "re writ"} {
		require.False(t, s.in([]byte(text)), text)
	}
}
