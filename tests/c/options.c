/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A mistyped option is an error that starts with its path, and never a default; so is a zero that divides or waits. */
#include "check.h"

static const struct {
    const char *json, *path;
} REFUSED[] = {
    {"{\"num_shard\":1}", "num_shard:"},
    {"{\"num_shards\":0}", "num_shards:"},
    {"{\"num_shards\":65536}", "num_shards:"},
    {"{\"num_shards\":\"1\"}", "num_shards:"},
    {"{\"num_shards\":1.5}", "num_shards:"},
    {"{\"num_shards\":-1}", "num_shards:"},
    {"{\"cores\":\"all\"}", "cores:"},
    {"{\"cores\":[]}", "cores:"},
    {"{\"cores\":[100000]}", "cores:"},
    {"{\"ring_buffer_capacity\":1000}", "ring_buffer_capacity:"},
    {"{\"ring_buffer_capacity\":512}", "ring_buffer_capacity:"},
    {"{\"buffer_bytes\":0}", "buffer_bytes:"},
    {"{\"max_event_bytes\":0}", "max_event_bytes:"},
    {"{\"lane_bytes\":3}", "lane_bytes:"},
    {"{\"lanes_bytes_max\":0}", "lanes_bytes_max:"},
    {"{\"backpressure_mode\":\"dropoldest\"}", "backpressure_mode:"},
    {"{\"backpressure_mode\":{\"Sample\":{\"rate\":0}}}", "backpressure_mode.Sample.rate:"},
    {"{\"backpressure_mode\":{\"Sample\":{\"rates\":2}}}", "backpressure_mode.Sample"},
    {"{\"backpressure_mode\":{\"Sample\":{}}}", "backpressure_mode.Sample"},
    {"{\"backpressure_mode\":\"Sample\"}", "backpressure_mode"},
    {"{\"batch\":{\"max\":1}}", "batch.max:"},
    {"{\"batch\":{\"min_size\":0}}", "batch.min_size:"},
    {"{\"batch\":{\"max_size\":0}}", "batch.max_size:"},
    {"{\"batch\":{\"max_size\":1000001}}", "batch.max_size:"},
    {"{\"batch\":{\"max_delay_ms\":0}}", "batch.max_delay_ms:"},
    {"{\"batch\":{\"max_delay_ms\":1,\"max_delay_us\":1}}", "batch.max_delay_us:"},
    {"{\"batch\":[]}", "batch"},
    {"{\"idle\":\"Spin\"}", "idle:"},
    {"{\"spin_us\":-1}", "spin_us:"},
    {"{\"adapter_timeout_ms\":0}", "adapter_timeout_ms:"},
    {"{\"adapter_batch_retries\":\"three\"}", "adapter_batch_retries:"},
    {"{\"producer_nonce_path\":7}", "producer_nonce_path:"},
    {"{\"producer_nonce_path\":\"/nowhere/at/all\"}", "producer_nonce_path:"},
    {"{\"push_wait_us\":60000001}", "push_wait_us:"},
    {"{\"flush_timeout_ms\":0}", "flush_timeout_ms:"},
    {"{\"shutdown_timeout_ms\":0}", "shutdown_timeout_ms:"},
    {"{\"memory\":{\"retention_events\":0}}", "memory.retention_events:"},
    {"{\"memory\":{\"retention_bytes\":0}}", "memory.retention_bytes:"},
    {"{\"memory\":{\"retention\":1}}", "memory.retention:"},
    {"{\"memory\":[]}", "memory"},
    {"{\"noop\":{\"x\":1}}", "noop.x:"},
    {"{\"redis\":{}}", "redis"},
    {"{\"redis\":{\"url\":\"http://h\"}}", "redis.url:"},
    {"{\"redis\":{\"url\":\"redis://h\",\"pipeline_size\":0}}", "redis.pipeline_size:"},
    {"{\"redis\":{\"url\":\"redis://h\",\"streams\":4}}", "redis.streams"},
    {"{\"net\":{}}", "net"},
    {"{\"net\":{\"role\":\"initiator\"}}", "net.psk:"},
    {"{\"net\":{\"role\":\"initiator\",\"psk\":\"00\"}}", "net.psk:"},
    {"{\"net\":{\"role\":\"initiator\",\"psk_file\":\"/nowhere/at/all\"}}", "net.psk_file:"},
    {"{\"net\":{\"role\":\"both\"}}", "net.role:"},
    {"{\"net\":{\"role\":\"initiator\",\"port\":1}}", "net.port:"},
    {"{\"net\":{\"role\":\"initiator\",\"heartbeat_interval_ms\":9}}", "net.heartbeat_interval_ms:"},
    {"{\"memory\":{},\"noop\":{}}", "noop:"},
    {"{} {}", ".:"},
    {"[]", ".:"},
    {"{", ".:"},
    {"null", ".:"},
};

int main(void) {
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        net_handle_t bus = (net_handle_t)(uintptr_t)7;
        int code = net_init_ex(REFUSED[i].json, &bus);
        if (code != NET_ERR_INVALID_CONFIG || bus != (net_handle_t)(uintptr_t)7 ||
            strncmp(net_last_error(), REFUSED[i].path, strlen(REFUSED[i].path)) != 0) {
            fprintf(stderr, "%s: code %d, %s\n", REFUSED[i].json, code, net_last_error());
            return 1;
        }
        CHECK(net_init(REFUSED[i].json) == NULL);
    }
    static const char *const absent[] = {"jetstream"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"%s\":{}}", absent[i]);
        net_handle_t bus;
        CHECK(net_init_ex(json, &bus) == NET_ERR_UNSUPPORTED);
        CHECK(strstr(net_last_error(), absent[i]) != NULL);
    }
    return 0;
}
