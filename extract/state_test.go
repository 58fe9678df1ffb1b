package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestPins(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{}`:                                nil,
		`{"previous_response_id":null}`:     nil,
		`{"previous_response_id":12}`:       nil,
		`{"previous_response_id":"resp_1"}`: {"resp_1"},
		`{"previous_interaction_id":"i1","previous_response_id":"resp_1"}`:                                       {"resp_1", "i1"},
		`{"conversation":"conv_1"}`:                                                                              {"conv_1"},
		`{"conversation":{"id":"conv_1"}}`:                                                                       {"conv_1"},
		`{"cachedContent":"cachedContents/x"}`:                                                                   {"cachedContents/x"},
		`{"input_file_id":"file-1","endpoint":"/v1/responses"}`:                                                  {"file-1"},
		`{"tools":[{"type":"file_search","vector_store_ids":["vs_1","vs_2",3]},{"type":"function","name":"f"}]}`: {"vs_1", "vs_2"},
		`{"cached_content":"cachedContents/x"}`:                                                                  {"cachedContents/x"},
		`{"container":{"id":"container_1","skills":[]}}`:                                                         {"container_1"},
		`{"thread":{"type":"continue","previous_message_id":"msg_1"}}`:                                           {"msg_1"},
		`{"input":[{"type":"item_reference","id":"rs_1"},{"id":"msg_2","type":"message","role":"user","content":[{"type":"input_file","file_id":"file-3"}]}]}`:                                                      {"rs_1", "file-3"},
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_4"}}]}]}`:                                                                                                {"file_4"},
		`{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/5?alt=media"}}]}]}`:                                                                                  {"files/5"},
		`{"contents":[{"parts":[{"file_data":{"file_uri":"files\/5"}},{"file_data":{"file_uri":"gs://bucket/files/6"}},{"fileData":{"fileUri":"https://www.youtube.com/watch?v=x"}},{"fileData":{"fileUri":5}}]}]}`: {"files/5"},
		`{"request":{"contents":[{"parts":[{"fileData":{"fileUri":"files/5"}}]}]}}`:                                                                                                                                 {"files/5"},
		`{"input":{"messages":[{"role":"user","content":[{"file_id":"file-6"}]}]}}`:                                                                                                                                 {"file-6"},
		`{"tools":[{"type":"code_interpreter","container":"cntr_1"},{"type":"code_interpreter","container":{"type":"auto"}},{"type":"function","name":"container"}]}`:                                               {"cntr_1"},
		`{"thread":{"type":"create","previous_message_id":"msg_1"}}`:                                                                                                                                                nil,
		`{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"read","input":{"file_id":"1"}}]}]}`:                                                                                  nil,
		`{"contents":[{"parts":[{"functionCall":{"args":{"file_id":"1"}}},{"functionResponse":{"response":{"file_id":"2"}}}]}]}`:                                                                                    nil,
		`{"messages":[{"content":[{"toolUse":{"input":{"file_id":"1"}}},{"toolResult":{"content":[{"json":{"file_id":"2"}}]}}]}]}`:                                                                                  nil,
		`{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"file","file_id":"file_1"}}]}]}]}`:                                                                              {"file_1"},
		`{"input":[{"type":"function_call","arguments":{"file_id":"1"}},{"role":"user","content":[{"type":"input_file","file_id":"file-3"}]}]}`:                                                                     {"file-3"},
		`{"messages":[{"role":"user","content":"what is a file_id?"}]}`:                                                                                                                                             nil,
		`{"previous_response_id":"resp_1"`: nil,
	} {
		require.Equal(t, want, (&extract.Request{Body: []byte(body)}).Pins(), body)
	}
	many := `{"input":[` + strings.Repeat(`{"type":"item_reference","id":"rs_1"},`, 1000)
	for i := range 20 {
		many += fmt.Sprintf(`{"type":"item_reference","id":"rs_%d"},`, i)
	}
	pins := (&extract.Request{Body: []byte(many + `{}]}`)}).Pins()
	require.Len(t, pins, 16)
	require.Equal(t, []string{"rs_1", "rs_0", "rs_2"}, pins[:3])
	for path, want := range map[string][]string{
		"/v1/responses/resp_1":                                {"resp_1"},
		"/v1/responses/resp_1/input_items":                    {"resp_1"},
		"/v1/responses":                                       nil,
		"/v1/responses/compact":                               nil,
		"/v1/responses/input_tokens":                          nil,
		"/v1/conversations/conv_1/items":                      {"conv_1"},
		"/v1/sessions/sesn_1/events":                          {"sesn_1"},
		"/v1/sessions":                                        nil,
		"/v1/threads":                                         nil,
		"/v1/batches/batch_1/cancel":                          {"batch_1"},
		"/v1/messages/batches/msgbatch_1/results":             {"msgbatch_1"},
		"/v1/vector_stores/vs_1/search":                       {"vs_1"},
		"/v1/vector_stores/vs_1/files/file-1":                 {"vs_1"},
		"/v1/containers/cntr_1/files":                         {"cntr_1"},
		"/v1/files/file-1/content":                            {"file-1"},
		"/v1/files/file_1":                                    {"file_1"},
		"/v1/files":                                           nil,
		"/v1beta/files/a-1":                                   {"files/a-1"},
		"/v1beta/files/a-1:download":                          {"files/a-1"},
		"/v1beta/cachedContents/x":                            {"cachedContents/x"},
		"/v1beta/cachedContents":                              nil,
		"/v1beta/cachedContents/":                             nil,
		"/docs/files/readme-first":                            nil,
		"/sessions/my_team/v1/messages":                       nil,
		"/v1/threads/runs":                                    nil,
		"/v1/threads/thread_1/runs/run_1/submit_tool_outputs": {"thread_1"},
	} {
		require.Equal(t, want, (&extract.Request{Path: path}).Pins(), path)
	}
}

// What is behind the last pin costs nothing: neither memory nor time.
func TestPinsOfManyFiles(t *testing.T) {
	allocs := func(head, one, tail string, n int) float64 {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, one, i)
		}
		body := []byte(head + b.String() + tail)
		return testing.AllocsPerRun(5, func() { require.Len(t, (&extract.Request{Body: body}).Pins(), 16) })
	}
	for _, in := range [][3]string{
		{`{"messages":[`, `{"role":"user","content":[{"type":"file","file_id":"file_%d"}]},`, `{}]}`},
		{`{"input":[`, `{"type":"item_reference","id":"rs_%d"},`, `{}]}`},
		{`{"tools":[`, `{"container":"cntr_%d"},`, `{}]}`},
	} {
		require.Equal(t, allocs(in[0], in[1], in[2], 20), allocs(in[0], in[1], in[2], 2000), in[0])
	}
}

// What a StateReader finds does not depend on how the response is cut up.
func TestStateReader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		response string
		want     []string
	}{
		"JSON":            {`{"id":"resp_1","object":"response","output":[{"id":"msg_1","content":[]}]}`, []string{"resp_1", "msg_1"}},
		"with spaces":     {"{\n  \"id\" :\t\"resp_1\"\n}", []string{"resp_1"}},
		"SSE":             {"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n", []string{"resp_1"}},
		"conversation":    {`{"id":"resp_1","conversation":{"id":"conv_1"}}`, []string{"resp_1", "conv_1"}},
		"a thread":        {`{"id":"thread_1","object":"thread"}`, []string{"thread_1"}},
		"a batch":         {`{"id":"batch_1","input_file_id":"file-1"}`, []string{"batch_1"}},
		"Claude's batch":  {`{"id":"msgbatch_1","type":"message_batch"}`, []string{"msgbatch_1"}},
		"a vector store":  {`{"id":"vs_1","object":"vector_store"}`, []string{"vs_1"}},
		"an interaction":  {"event: interaction.start\ndata: {\"interaction\":{\"id\":\"v1_ChdG\",\"status\":\"in_progress\"}}\n\n", []string{"v1_ChdG"}},
		"Mistral's":       {`{"object":"conversation.response","conversation_id":"conv_1","outputs":[]}`, []string{"conv_1"}},
		"Dify's":          {`{"conversation_id":"7f1c","message_id":"m"}`, nil},
		"a run":           {`{"id":"run_1","thread_id":"thread_1","assistant_id":"asst_1"}`, []string{"thread_1"}},
		"managed agents":  {`{"id":"sesn_1","type":"session"}`, []string{"sesn_1"}},
		"container":       {`{"container":{"id":"container_1"}}`, []string{"container_1"}},
		"cached":          {`{"name":"cachedContents/abc","model":"m"}`, []string{"cachedContents/abc"}},
		"inside a text":   {`{"text":"{\"id\":\"resp_1\"}"}`, nil},
		"a text like one": {`{"text":"resp_1","output":["id","resp_2"]}`, nil},
		"another id":      {`{"id":"chatcmpl-1","name":"get_weather"}`, nil},
		"names of tools":  {`{"tools":[{"name":"file_read"},{"name":"msg_send"}],"id":"files/x"}`, nil},
		"calls of tools":  {`{"output":[{"type":"image_generation_call","id":"ig_1"},{"id":"ci_2"},{"id":"fs_3"},{"id":"mcp_4"}]}`, []string{"ig_1", "ci_2", "fs_3", "mcp_4"}},
		"a file":          {`{"file":{"name":"files/abc","uri":"https://generativelanguage.googleapis.com/v1beta/files/abc"}}`, []string{"files/abc"}},
		"a slash escaped": {`{"name":"cachedContents\/x"}`, []string{"cachedContents/x"}},
		"a long one":      {`{"name":"cachedContents/` + strings.Repeat("x", 240) + `\/"}`, []string{"cachedContents/" + strings.Repeat("x", 240) + "/"}},
		"one too long":    {`{"name":"cachedContents/` + strings.Repeat("x", 241) + `\/"}`, nil},
		"too long":        {`{"id":"resp_` + strings.Repeat("x", 300) + `","response":{"id":"resp_2"}}`, []string{"resp_2"}},
		"with an escape":  {`{"id":"resp_\u0031"}`, nil},
		"broken":          {`{"id":"resp_1","id":"resp_`, []string{"resp_1"}},
		"no JSON":         {`<html>"id":`, nil},
		"nothing":         {``, nil},
	} {
		for size := 1; size <= len(tt.response)+1; size++ {
			var got []string
			r := extract.NewStateReader(func(id string) { got = append(got, id) })
			for rest := tt.response; len(rest) > 0; {
				n := min(size, len(rest))
				wrote, err := r.Write([]byte(rest[:n]))
				require.NoError(t, err)
				require.Equal(t, n, wrote)
				rest = rest[n:]
			}
			require.Equal(t, tt.want, got, "%s in pieces of %d", name, size)
		}
	}
	n := 0
	r := extract.NewStateReader(func(string) { n++ })
	for i := range 1000 {
		fmt.Fprintf(r, `{"id":"resp_%d"}`, i)
	}
	require.Equal(t, 64, n, "a response cannot fill the table")
}

// It keeps no more than one id, however long a string is and however it is written.
func TestStateReaderKeepsLittle(t *testing.T) {
	for _, letter := range []string{"a", `\/`, `a\/`, `\n`, "\u00e9"} {
		response := []byte(`{"id":"resp_` + strings.Repeat(letter, 100_000) + `"}`)
		for _, size := range []int{7, len(response)} {
			require.LessOrEqual(t, testing.AllocsPerRun(1, func() {
				r := extract.NewStateReader(func(string) { t.Error("an id of", letter) })
				for rest := response; len(rest) > 0; {
					n := min(size, len(rest))
					r.Write(rest[:n])
					rest = rest[n:]
				}
			}), 3.0, "%s in pieces of %d", letter, size) // the reader, its buffer, and the func
		}
	}
}

func FuzzStateReader(f *testing.F) {
	f.Add([]byte(`{"id":"resp_1","x":"\"\\"}`), 3)
	f.Add([]byte("data: {\"response\":{\"id\":\"resp_1\"}}\n\n"), 7)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		read := func(size int) (ids []string) {
			r := extract.NewStateReader(func(id string) { ids = append(ids, id) })
			for rest := data; len(rest) > 0; {
				n := min(size, len(rest))
				r.Write(rest[:n])
				rest = rest[n:]
			}
			return ids
		}
		whole := read(len(data) + 1)
		require.Equal(t, whole, read(1+max(size, -size)%64&63))
		for _, id := range whole {
			clean, ok := extract.ID(id)
			require.True(t, ok)
			require.Equal(t, clean, id)
		}
	})
}

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
}

func TestOpening(t *testing.T) {
	t.Parallel()
	opening := func(body string) uint64 {
		o, ok := (&extract.Request{Body: []byte(body)}).Opening()
		require.True(t, ok, body)
		return o
	}
	const one = `{"system":"s","messages":[{"role":"user","content":"a"}]}`
	const two = `{"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{}}]},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`
	require.Equal(t, opening(one), opening(two))
	require.NotEqual(t, opening(one), opening(`{"system":"t","messages":[{"role":"user","content":"a"}]}`))
	require.NotEqual(t, opening(one), opening(`{"system":"s","messages":[{"role":"user","content":"x"}]}`))
	for _, prompt := range []string{`null`, `""`, `{"id":"pmpt_1","version":"2"}`} {
		require.Equal(t, opening(one), opening(`{"prompt":`+prompt+`,`+one[1:]))
	}
	for _, body := range []string{``, `{}`, `{"messages":[]}`, `{"messages":`, `{"previous_response_id":"resp_1","input":"x"}`, `{"prompt":"User: hi\nAssistant:"}`} {
		_, ok := (&extract.Request{Body: []byte(body)}).Opening()
		require.False(t, ok, body)
	}
}
