package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What a StateReader finds does not depend on how the response is cut up.
func TestStateReader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		response string
		want     []string
	}{
		"JSON":                {`{"id":"resp_1","object":"response","output":[{"id":"msg_1","content":[]}]}`, []string{"resp_1", "msg_1"}},
		"with spaces":         {"{\n  \"id\" :\t\"resp_1\"\n}", []string{"resp_1"}},
		"SSE":                 {"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n", []string{"resp_1"}},
		"SSE, over lines":     {"data: {\ndata:   \"id\": \"resp_1\",\ndata:   \"conversation\": {\ndata:     \"id\":\"conv_1\"\ndata:   }\ndata: }\n\n", []string{"resp_1", "conv_1"}},
		"conversation":        {`{"id":"resp_1","conversation":{"id":"conv_1"}}`, []string{"resp_1", "conv_1"}},
		"a thread":            {`{"id":"thread_1","object":"thread"}`, []string{"thread_1"}},
		"a batch":             {`{"id":"batch_1","input_file_id":"file-1"}`, []string{"batch_1"}},
		"Claude's batch":      {`{"id":"msgbatch_1","type":"message_batch"}`, []string{"msgbatch_1"}},
		"a vector store":      {`{"id":"vs_1","object":"vector_store"}`, []string{"vs_1"}},
		"a skill":             {`{"id":"skill_1","object":"skill"}`, []string{"skill_1"}},
		"what was spoken":     {`{"id":"chatcmpl-1","choices":[{"message":{"audio":{"id":"audio_1","data":"x"}}}]}`, []string{"audio_1"}},
		"a search store":      {`{"name":"fileSearchStores/a","displayName":"a"}`, []string{"fileSearchStores/a"}},
		"an interaction":      {"event: interaction.start\ndata: {\"interaction\":{\"id\":\"v1_ChdG\",\"status\":\"in_progress\"}}\n\n", []string{"v1_ChdG"}},
		"Mistral's":           {`{"object":"conversation.response","conversation_id":"conv_1","outputs":[]}`, []string{"conv_1"}},
		"Dify's":              {`{"conversation_id":"7f1c","message_id":"m"}`, nil},
		"a run":               {`{"id":"run_1","thread_id":"thread_1","assistant_id":"asst_1"}`, []string{"thread_1"}},
		"managed agents":      {`{"id":"sesn_1","type":"session"}`, []string{"sesn_1"}},
		"OpenAI's agents":     {"data: {\"type\":\"agent.session.created\",\"event_id\":\"e\",\"session\":{\"metadata\":{},\"id\":\"sess_1\",\"object\":\"agent.session\",\"agent\":{\"id\":\"agent_2\"},\"environment\":{\"type\":\"openai_hosted\",\"id\":\"env_3\"}}}\n\n", []string{"sess_1", "agent_2", "env_3"}},
		"what they are":       {`{"id":"sesn_1","agent":{"id":"agent_2","tools":[]},"environment_id":"env_3"}`, []string{"sesn_1", "agent_2", "env_3"}},
		"what they have":      {`{"data":[{"id":"vlt_1"},{"id":"memstore_2"},{"id":"ag_3"}]}`, []string{"vlt_1", "memstore_2", "ag_3"}},
		"xAI's":               {`{"created_at":1,"id":"` + uuid + `","model":"m","object":"response","output":[{"id":"msg_` + uuid + `"}]}`, []string{uuid, "msg_" + uuid}},
		"xAI's, streamed":     {`{"response":{"id":"` + uuid + `","object":"response"}}` + "\n" + `{"response":{"id":"` + uuid + `","object":"response"}}`, []string{uuid}},
		"in capitals":         {strings.Repeat(`{"id":"`+strings.ToUpper(uuid)+`","object":"response"}`, 2), []string{uuid}},
		"escaped":             {`{"id":"` + uuid + `\n","object":"response"}`, nil},
		"zeros":               {`{"id":"00000000-0000-0000-0000-000000000000","object":"response"}`, nil},
		"another's":           {`{"id":"` + uuid + `","object":"chat.completion","x":{"object":"response"}}`, nil},
		"an item's":           {`{"id":"` + uuid + `","output":[{"id":"x"}],"object":"response"}`, nil},
		"of a file":           {`{"file_id":"` + uuid + `","object":"response"}`, nil},
		"LM Studio's":         {`{"model_instance_id":"m","output":[{"type":"message","content":"x"}],"response_id":"resp_1"}`, []string{"resp_1"}},
		"an event's":          {`{"event_type":"interaction.complete","interaction_id":"v1_1"}`, []string{"v1_1"}},
		"newer items":         {`{"output":[{"id":"apc_1"},{"id":"sh_2"},{"id":"sho_3"},{"id":"lsh_4"},{"id":"tsc_5"},{"id":"tso_6"}]}`, []string{"apc_1", "sh_2", "sho_3", "lsh_4", "tsc_5", "tso_6"}},
		"container":           {`{"container":{"id":"container_1"}}`, []string{"container_1"}},
		"cached":              {`{"name":"cachedContents/abc","model":"m"}`, []string{"cachedContents/abc"}},
		"inside a text":       {`{"text":"{\"id\":\"resp_1\"}"}`, nil},
		"a text like one":     {`{"text":"resp_1","output":["id","resp_2"]}`, nil},
		"another id":          {`{"id":"chatcmpl-1","name":"get_weather"}`, nil},
		"names of tools":      {`{"tools":[{"name":"file_read"},{"name":"msg_send"}],"id":"files/x"}`, nil},
		"calls of tools":      {`{"output":[{"type":"image_generation_call","id":"ig_1"},{"id":"ci_2"},{"id":"fs_3"},{"id":"mcp_4"}]}`, []string{"ig_1", "ci_2", "fs_3", "mcp_4"}},
		"a made file":         {`{"content":[{"type":"bash_code_execution_tool_result","content":{"content":[{"type":"bash_code_execution_output","file_id":"file_1"}]}}]}`, []string{"file_1"}},
		"a batch's files":     {`{"id":"batch_1","input_file_id":"file-1","output_file_id":"file-2","error_file_id":"file-3"}`, []string{"batch_1", "file-2", "file-3"}},
		"Gemini's batch":      {`{"name":"batches/1","response":{"responsesFile":"files/batch-1"}}`, []string{"batches/1", "files/batch-1"}},
		"no name":             {`{"name":"files/","responsesFile":"batches/"}`, nil},
		"Vertex's cache":      {`{"name":"projects/1/locations/us/cachedContents/2","model":"projects/1/locations/us/publishers/google/models/m"}`, []string{"projects/1/locations/us/cachedContents/2"}},
		"xAI's batch":         {`{"batch_id":"batch_` + uuid + `","name":"n"}`, []string{"batch_" + uuid}},
		"a video":             {`{"id":"video_1","object":"video","status":"queued"}`, []string{"video_1"}},
		"Mistral's file":      {`{"id":"` + uuid + `","object":"file","bytes":1,"filename":"a"}`, []string{uuid}},
		"Mistral's batch":     {`{"id":"` + uuid + `","object":"batch","input_files":["x"],"output_file":"` + strings.Replace(uuid, "0", "1", 1) + `"}`, []string{uuid, strings.Replace(uuid, "0", "1", 1)}},
		"a batch's output":    {`{"object":"batch","output_file":"out.jsonl","error_file":null}`, nil},
		"Mistral's job":       {`{"id":"` + uuid + `","object":"job","training_files":["x"]}`, []string{uuid}},
		"a batch's errors":    {`{"object":"batch","output_file":null,"error_file":"` + uuid + `"}`, []string{uuid}},
		"an upload":           {`{"id":"upload_1","object":"upload","file":{"id":"file-2"}}`, []string{"upload_1", "file-2"}},
		"fine-tuning":         {`{"object":"fine_tuning.job","id":"ftjob-1","result_files":["file-2"]}`, []string{"ftjob-1"}},
		"its context":         {`{"id":"ctx-20250218162710-6jwbk","mode":"session","model":"m","ttl":86400}`, []string{"ctx-20250218162710-6jwbk"}},
		"Volcengine's video":  {`{"id":"cgt-20260606160057-6bbjd"}`, []string{"cgt-20260606160057-6bbjd"}},
		"DashScope's task":    {`{"output":{"task_status":"PENDING","task_id":"` + uuid + `"},"request_id":"` + strings.Replace(uuid, "0", "1", 1) + `"}`, []string{uuid}},
		"another's task":      {`{"task_id":"106916112212032"}`, nil},
		"a kind with escapes": {`{"id":"` + uuid + `","object":"file\n"}`, nil},
		"a URI with escapes":  {`{"uri":"https://generativelanguage.googleapis.com/v1beta/files/abc\u0064"}`, nil},
		"xAI's video":         {`{"request_id":"` + uuid + `"}`, []string{uuid}},
		"an answer's request": {`{"code":"x","request_id":"` + uuid + `"}`, nil},
		"another request":     {`{"request_id":"req_1"}`, nil},
		"Gemini's video":      {`{"name":"models/m/operations/a1"}`, []string{"models/m/operations/a1"}},
		"Gemini's model":      {`{"name":"models/m","displayName":"m"}`, nil},
		"Vertex's model":      {`{"name":"projects/1/locations/us/publishers/google/models/m"}`, nil},
		"another file_id":     {`{"file_id":"7f1c"}`, nil},
		"other items":         {`{"output":[{"id":"rs_1"},{"id":"fc_2"},{"id":"ctc_3"},{"id":"ws_4"},{"id":"cu_5"},{"id":"mcpl_6"},{"id":"mcpr_7"},{"id":"cmp_8"}]}`, []string{"rs_1", "fc_2", "ctc_3", "ws_4", "cu_5", "mcpl_6", "mcpr_7", "cmp_8"}},
		"what was made":       {`{"container_id":"cntr_1","id":"file-2","x":{"id":"file_3"}}`, []string{"cntr_1", "file-2", "file_3"}},
		"no more than it":     {`{"id":"resp_","id":"resp","name":"projects/1/operations/2","name":"a/cachedContents/2"}`, nil},
		"another name":        {`{"id":"x","id\n":"resp_1","conversation_idle":"resp_2","idle":"resp_3"}`, nil},
		"a file":              {`{"file":{"name":"files/abc","uri":"https://generativelanguage.googleapis.com/v1beta/files/abc"}}`, []string{"files/abc"}},
		"a video's file":      {`{"name":"models/m/operations/a1","response":{"generateVideoResponse":{"generatedSamples":[{"video":{"uri":"https://generativelanguage.googleapis.com/v1beta/files/abc:download?alt=media"}}]}}}`, []string{"models/m/operations/a1", "files/abc"}},
		"other URIs":          {`{"uri":"files/abc","uri":"files/abc:download","uri":"https://x.org/files/abc","uri":"https://generativelanguage.googleapis.com/v1beta/files/","uri":"https://generativelanguage.googleapis.com/v1beta/models/m","uri":"https://generativelanguage.googleapis.com/v1beta/files/abc\n"}`, nil},
		"a slash escaped":     {`{"name":"cachedContents\/x"}`, []string{"cachedContents/x"}},
		"a long one":          {`{"name":"cachedContents/` + strings.Repeat("x", 240) + `\/"}`, []string{"cachedContents/" + strings.Repeat("x", 240) + "/"}},
		"one too long":        {`{"name":"cachedContents/` + strings.Repeat("x", 241) + `\/"}`, nil},
		"too long":            {`{"id":"resp_` + strings.Repeat("x", 300) + `","response":{"id":"resp_2"}}`, []string{"resp_2"}},
		"with an escape":      {`{"id":"resp_\u0031\/"}`, nil},
		"broken":              {`{"id":"resp_1","id":"resp_2` + "\x7f" + `","id":"resp_`, []string{"resp_1"}},
		"no JSON":             {`<html>"id":`, nil},
		"nothing":             {``, nil},
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

// In a stream, each event may have the id.
func TestStateReaderOfTheSameIDs(t *testing.T) {
	for _, event := range []string{`{"id":"msg_1"}`, `{"id":"` + uuid + `","object":"response"}`} {
		response := []byte(strings.Repeat(event, 1000))
		require.LessOrEqual(t, testing.AllocsPerRun(5, func() {
			n := 0
			extract.NewStateReader(func(string) { n++ }).Write(response)
			require.Equal(t, 1, n)
		}), 6.0, event)
	}
}

// What begins as an id and is none is looked at no more often than ids are.
func TestStateReaderOfWhatIsNoID(t *testing.T) {
	var response []byte
	for i := range 1000 {
		response = fmt.Appendf(response, `{"id":"resp_{{%d"}`, i)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(5, func() {
		extract.NewStateReader(func(string) { t.Error("an id") }).Write(response)
	}), 64+3.0)
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

func TestStateReaderWithoutAFunction(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "extract: NewStateReader needs a function to call", func() { extract.NewStateReader(nil) })
}

func BenchmarkStateReader(b *testing.B) {
	for _, input := range []struct{ name, event string }{
		{"deltas", `data: {"type":"response.output_text.delta","item_id":"msg_0123456789abcdef","output_index":0,"content_index":0,"delta":" word"}` + "\n\n"},
		{"escapes", `data: {"text":"` + strings.Repeat(`\n`, 5000) + "\"}\n\n"},
		{"short-strings", `"",`},
		{"ids-that-are-none", `"id":"a":`},
	} {
		b.Run("input="+input.name, func(b *testing.B) {
			response := []byte(strings.Repeat(input.event, 1<<20/len(input.event)))
			b.SetBytes(int64(len(response)))
			for b.Loop() {
				extract.NewStateReader(func(string) {}).Write(response)
			}
		})
	}
}
