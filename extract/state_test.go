package extract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// State names a session only where nothing better does.
func TestStateExtractor(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"previous_response_id":"resp_1","input":"x"}`:                                                         "resp_1",
		`{"previous_interaction_id":"i1","input":"x"}`:                                                          "i1",
		`{"thread":{"type":"continue","previous_message_id":"msg_1"}}`:                                          "msg_1",
		`{"previous_response_id":"resp_1","conversation":"conv_1"}`:                                             "conv_1", // BodyIDs goes first
		`{"cachedContent":"cachedContents/x","contents":[{"parts":[{"text":"x"}]}]}`:                            "",       // names no conversation
		`{"thread":{"type":"create","previous_message_id":"msg_1"},"messages":[{"role":"user","content":"x"}]}`: "",
	} {
		s, ok := extract.Default().Extract(&extract.Request{Body: []byte(body)})
		require.True(t, ok, body)
		if want != "" {
			require.Equal(t, want, s.ID)
		} else {
			require.Equal(t, "trail", s.Source)
		}
	}
	requireSession(t, extract.State(), &extract.Request{Path: "/v1/responses/resp_1"}, "state", "resp_1")
	requireSession(t, extract.State(), &extract.Request{Path: "/v1/responses", Body: []byte(`{"input":"x"}`)}, "", "")
}
