// The sizes of src/abi.rs, against the headers of Linux.
#include <drm/amdxdna_accel.h>
#include <drm/drm.h>

#define SIZE(name, bytes) _Static_assert(sizeof(struct name) == (bytes), #name)
#define NUMBER(name, nr) _Static_assert((DRM_IOCTL_##name & 0xFF) == (nr), #name)

SIZE(amdxdna_drm_create_hwctx, 56);
SIZE(amdxdna_qos_info, 24);
SIZE(amdxdna_drm_destroy_hwctx, 8);
SIZE(amdxdna_drm_config_hwctx, 24);
SIZE(amdxdna_hwctx_param_config_cu, 8);
SIZE(amdxdna_cu_config, 8);
SIZE(amdxdna_drm_create_bo, 32);
SIZE(amdxdna_drm_va_tbl, 8);
SIZE(amdxdna_drm_va_entry, 16);
SIZE(amdxdna_drm_get_bo_info, 48);
SIZE(amdxdna_drm_sync_bo, 24);
SIZE(amdxdna_drm_exec_cmd, 56);
SIZE(amdxdna_drm_wait_cmd, 16);
SIZE(amdxdna_drm_get_info, 16);
SIZE(amdxdna_drm_set_state, 16);
SIZE(amdxdna_drm_get_array, 24);
SIZE(amdxdna_drm_query_aie_version, 8);
SIZE(amdxdna_drm_query_aie_tile_metadata, 16);
SIZE(amdxdna_drm_query_aie_metadata, 64);
SIZE(amdxdna_drm_query_clock, 24);
SIZE(amdxdna_drm_query_clock_metadata, 48);
SIZE(amdxdna_drm_query_firmware_version, 16);
SIZE(amdxdna_drm_get_power_mode, 8);
SIZE(amdxdna_drm_attribute_state, 8);
SIZE(amdxdna_drm_get_resource_info, 40);
SIZE(amdxdna_drm_hwctx_entry, 144);
SIZE(amdxdna_drm_bo_usage, 32);
SIZE(drm_gem_close, 8);
SIZE(drm_prime_handle, 12);
SIZE(drm_syncobj_create, 8);
SIZE(drm_syncobj_destroy, 8);
SIZE(drm_syncobj_handle, 24);
SIZE(drm_syncobj_timeline_wait, 48);
SIZE(drm_syncobj_timeline_array, 24);

NUMBER(AMDXDNA_CREATE_HWCTX, 0x40);
NUMBER(AMDXDNA_DESTROY_HWCTX, 0x41);
NUMBER(AMDXDNA_CONFIG_HWCTX, 0x42);
NUMBER(AMDXDNA_CREATE_BO, 0x43);
NUMBER(AMDXDNA_GET_BO_INFO, 0x44);
NUMBER(AMDXDNA_SYNC_BO, 0x45);
NUMBER(AMDXDNA_EXEC_CMD, 0x46);
NUMBER(AMDXDNA_GET_INFO, 0x47);
NUMBER(AMDXDNA_SET_STATE, 0x48);
NUMBER(AMDXDNA_WAIT_CMD, 0x49);
NUMBER(AMDXDNA_GET_ARRAY, 0x4A);
NUMBER(GEM_CLOSE, 0x09);
NUMBER(PRIME_HANDLE_TO_FD, 0x2D);
NUMBER(PRIME_FD_TO_HANDLE, 0x2E);
NUMBER(SYNCOBJ_CREATE, 0xBF);
NUMBER(SYNCOBJ_DESTROY, 0xC0);
NUMBER(SYNCOBJ_HANDLE_TO_FD, 0xC1);
NUMBER(SYNCOBJ_FD_TO_HANDLE, 0xC2);
NUMBER(SYNCOBJ_TIMELINE_WAIT, 0xCA);
NUMBER(SYNCOBJ_TIMELINE_SIGNAL, 0xCD);

_Static_assert(AMDXDNA_BO_SHARE == 1 && AMDXDNA_BO_DEV_HEAP == 2 && AMDXDNA_BO_DEV == 3 && AMDXDNA_BO_CMD == 4, "bo");
_Static_assert(DRM_AMDXDNA_HWCTX_CONFIG_CU == 0 && DRM_AMDXDNA_HWCTX_REMOVE_DBG_BUF == 2, "config");
_Static_assert(DRM_AMDXDNA_QUERY_AIE_METADATA == 1 && DRM_AMDXDNA_QUERY_AIE_VERSION == 2, "get");
_Static_assert(DRM_AMDXDNA_QUERY_CLOCK_METADATA == 3 && DRM_AMDXDNA_QUERY_FIRMWARE_VERSION == 8, "get");
_Static_assert(DRM_AMDXDNA_GET_POWER_MODE == 9 && DRM_AMDXDNA_GET_FORCE_PREEMPT_STATE == 11, "get");
_Static_assert(DRM_AMDXDNA_QUERY_RESOURCE_INFO == 12, "get");
_Static_assert(DRM_AMDXDNA_GET_FRAME_BOUNDARY_PREEMPT_STATE == 13, "get");
_Static_assert(DRM_AMDXDNA_HW_CONTEXT_ALL == 0 && DRM_AMDXDNA_BO_USAGE == 6, "array");
_Static_assert(DRM_AMDXDNA_SET_POWER_MODE == 0 && DRM_AMDXDNA_SET_FORCE_PREEMPT == 3, "set");
_Static_assert(DRM_AMDXDNA_SET_FRAME_BOUNDARY_PREEMPT == 4, "set");
_Static_assert(SYNC_DIRECT_TO_DEVICE == 0 && AMDXDNA_CMD_SUBMIT_EXEC_BUF == 0, "values");
_Static_assert(DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT == 2, "values");
