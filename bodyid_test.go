package affinity_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// A hit on an id in a body leaves nothing for the garbage collector but the id,
// wherever it stands and however large the body is.
func TestHitOnABodyIDAllocatesTheID(t *testing.T) {
	const id = `"conversation_id":"3f1c9a52-7f0e-4d3b-9a67-0c2be41d8e55"`
	messages := func(n int) string {
		return `[{"role":"user","content":"` + strings.Repeat(`say \"hi\" {[ `, n/14) + `"}]`
	}
	s := newSelector(t, affinity.Config[string]{})
	candidates, ctx := []string{"a", "b", "c"}, t.Context()
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, body := range []string{
			`{` + id + `,"messages":` + messages(size) + `}`,
			`{"messages":` + messages(size) + `,` + id + `,"tools":` + messages(size) + `}`,
			`{"messages":` + messages(size) + `,` + id + `}`,
		} {
			data, req := []byte(body), new(extract.Request)
			require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
				*req = extract.Request{Body: data}
				if _, err := s.Pick(ctx, req, candidates); err != nil {
					panic(err)
				}
			}), 1.0, "%d: %.40s", size, body)
		}
	}
}
