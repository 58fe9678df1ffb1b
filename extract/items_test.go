package extract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many messages, blocks and values a body has, only so many are looked
// at: the rest costs no more than it takes to find the body's end.
func TestTrailStopsCounting(t *testing.T) {
	t.Parallel()
	many := func(s string) string { return strings.TrimSuffix(strings.Repeat(s+",", 2*maxItems), ",") }
	for _, body := range []string{
		`{"messages":[` + many(`1`) + `]}`,
		`{"messages":[` + many(`"a"`) + `]}`,
		`{"messages":[{"role":"user","content":[` + many(`"a"`) + `]}]}`,
		`{"messages":[{"role":"user","content":{"a":[` + many(`1`) + `]}}]}`,
		`{"messages":[{"role":"user","content":{"a":[` + many(`[[[[]]]]`) + `]}}]}`,
		`{"messages":[{"role":"user","content":{` + many(`"a":1`) + `}}]}`,
		`{"messages":[{"role":"user","content":[` + many(`{"a":{"b":"c"}}`) + `]}]}`,
		`{"system":[` + many(`"a"`) + `],"messages":["a"]}`,
		`{"prompt":[` + many(`1`) + `]}`,
		`{"prompt":"a","images":[` + many(`1`) + `]}`,
	} {
		r := &Request{Body: []byte(body)}
		require.True(t, r.read().ok)
		require.Greater(t, r.trail().items, maxItems)
		require.Less(t, r.trail().items, maxItems+100)
		_, ok := Trail().Extract(r)
		require.False(t, ok)
	}
}
