package extract_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What an extractor says of a request that it does not know is not the next
// one's: the second result false is all that counts.
func TestChainForgetsWhatWasNotFound(t *testing.T) {
	half := extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
		return extract.Session{Thread: "t", ParentThread: "p", Parent: "other", Aliases: []string{"a"}, Near: []string{"n"}}, false
	})
	r := func() *extract.Request {
		return &extract.Request{Header: http.Header{"X-Session-Id": {"an-id-of-a-session"}}}
	}
	want, ok := extract.Headers().Extract(r())
	require.True(t, ok)
	for _, last := range []extract.Extractor{extract.Headers(), extract.Header("X-Session-Id")} {
		got, ok := extract.Chain{half, last}.Extract(r())
		require.True(t, ok)
		require.Equal(t, want, got)
	}
}
