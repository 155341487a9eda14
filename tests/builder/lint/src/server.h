/* SPDX-License-Identifier: BSD-3-Clause */
/* From redis 7.0.15, as far as the fix of CVE-2025-46818 is about it; see ../COPYING. */
struct redisServer {
    pid_t pid;                  /* Main process pid. */
    int cluster_config_file_lock_fd;   /* cluster config fd, will be flock */
    unsigned long long cluster_link_sendbuf_limit_bytes;  /* Memory usage limit on individual link send buffers*/
    int cluster_drop_packet_filter; /* Debug config that allows tactically
                                   * dropping packets of a specific type */
    /* Scripting */
    client *script_caller;       /* The client running script right now, or NULL */
    mstime_t busy_reply_threshold;  /* Script / module timeout in milliseconds */
    int pre_command_oom_state;         /* OOM before command (script?) was started */
    int script_disable_deny_script;    /* Allow running commands marked "no-script" inside a script. */
    /* Lazy free */
    int lazyfree_lazy_eviction;
    int lazyfree_lazy_expire;
    int lazyfree_lazy_server_del;
    int lazyfree_lazy_user_del;
    int lazyfree_lazy_user_flush;
    /* Latency monitor */
    long long latency_monitor_threshold;
};
