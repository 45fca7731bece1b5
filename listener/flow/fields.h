/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_FIELDS_H
#define VPCFLOWD_FLOW_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * Every flow log field, once: code, AWS's name, kind. Parser, column names, JSON keys and the
 * IPFIX elements (encode/elements.h) are made from this table.
 *
 * Sources: the tables "Available fields" in Amazon VPC's user guide, "Flow log records", and in
 * Amazon VPC Transit Gateways' guide, "Transit Gateway Flow Log records".
 *
 * Kinds: TEXT printable ASCII; ADDRESS IPv4 or IPv6; U8 to U64 unsigned decimal; TIME Unix seconds,
 * or milliseconds when above 2^31-1. Any of them may be "-": not there.
 */
#define VPC_FIELDS(X)                                                                              \
	/* version 2, which is also the default format */                                          \
	X(VERSION, "version", U32)                                                                 \
	X(ACCOUNT_ID, "account-id", TEXT)                                                          \
	X(INTERFACE_ID, "interface-id", TEXT)                                                      \
	X(SRCADDR, "srcaddr", ADDRESS)                                                             \
	X(DSTADDR, "dstaddr", ADDRESS)                                                             \
	X(SRCPORT, "srcport", U16)                                                                 \
	X(DSTPORT, "dstport", U16)                                                                 \
	X(PROTOCOL, "protocol", U8)                                                                \
	X(PACKETS, "packets", U64)                                                                 \
	X(BYTES, "bytes", U64)                                                                     \
	X(START, "start", TIME)                                                                    \
	X(END, "end", TIME)                                                                        \
	X(ACTION, "action", TEXT)                                                                  \
	X(LOG_STATUS, "log-status", TEXT)                                                          \
	/* version 3 */                                                                            \
	X(VPC_ID, "vpc-id", TEXT)                                                                  \
	X(SUBNET_ID, "subnet-id", TEXT)                                                            \
	X(INSTANCE_ID, "instance-id", TEXT)                                                        \
	X(TCP_FLAGS, "tcp-flags", U16)                                                             \
	X(TYPE, "type", TEXT)                                                                      \
	X(PKT_SRCADDR, "pkt-srcaddr", ADDRESS)                                                     \
	X(PKT_DSTADDR, "pkt-dstaddr", ADDRESS)                                                     \
	/* version 4 */                                                                            \
	X(REGION, "region", TEXT)                                                                  \
	X(AZ_ID, "az-id", TEXT)                                                                    \
	X(SUBLOCATION_TYPE, "sublocation-type", TEXT)                                              \
	X(SUBLOCATION_ID, "sublocation-id", TEXT)                                                  \
	/* version 5 */                                                                            \
	X(PKT_SRC_AWS_SERVICE, "pkt-src-aws-service", TEXT)                                        \
	X(PKT_DST_AWS_SERVICE, "pkt-dst-aws-service", TEXT)                                        \
	X(FLOW_DIRECTION, "flow-direction", TEXT)                                                  \
	X(TRAFFIC_PATH, "traffic-path", U32)                                                       \
	/* version 7 */                                                                            \
	X(ECS_CLUSTER_ARN, "ecs-cluster-arn", TEXT)                                                \
	X(ECS_CLUSTER_NAME, "ecs-cluster-name", TEXT)                                              \
	X(ECS_CONTAINER_INSTANCE_ARN, "ecs-container-instance-arn", TEXT)                          \
	X(ECS_CONTAINER_INSTANCE_ID, "ecs-container-instance-id", TEXT)                            \
	X(ECS_CONTAINER_ID, "ecs-container-id", TEXT)                                              \
	X(ECS_SECOND_CONTAINER_ID, "ecs-second-container-id", TEXT)                                \
	X(ECS_SERVICE_NAME, "ecs-service-name", TEXT)                                              \
	X(ECS_TASK_DEFINITION_ARN, "ecs-task-definition-arn", TEXT)                                \
	X(ECS_TASK_ARN, "ecs-task-arn", TEXT)                                                      \
	X(ECS_TASK_ID, "ecs-task-id", TEXT)                                                        \
	/* versions 8, 9, 10 */                                                                    \
	X(REJECT_REASON, "reject-reason", TEXT)                                                    \
	X(RESOURCE_ID, "resource-id", TEXT)                                                        \
	X(ENCRYPTION_STATUS, "encryption-status", U32)                                             \
	/* version 11 */                                                                           \
	X(INSTANCE_TAG, "instance-tag", TEXT)                                                      \
	X(INSTANCE_TAG_2, "instance-tag-2", TEXT)                                                  \
	X(INTERFACE_TAG, "interface-tag", TEXT)                                                    \
	X(INTERFACE_TAG_2, "interface-tag-2", TEXT)                                                \
	X(ASG_TAG, "asg-tag", TEXT)                                                                \
	X(ASG_TAG_2, "asg-tag-2", TEXT)                                                            \
	X(INTERFACE_TYPE, "interface-type", TEXT)                                                  \
	X(NEXT_HOP_INTERFACE_ID, "next-hop-interface-id", TEXT)                                    \
	X(NEXT_HOP_SUBNET_ID, "next-hop-subnet-id", TEXT)                                          \
	X(NEXT_HOP_AZ_ID, "next-hop-az-id", TEXT)                                                  \
	X(NEXT_HOP_VPC_ID, "next-hop-vpc-id", TEXT)                                                \
	X(NEXT_HOP_INTERFACE_TYPE, "next-hop-interface-type", TEXT)

/* What only Transit Gateway flow logs (version 6) have. */
#define TGW_FIELDS(X)                                                                              \
	X(RESOURCE_TYPE, "resource-type", TEXT)                                                    \
	X(TGW_ID, "tgw-id", TEXT)                                                                  \
	X(TGW_ATTACHMENT_ID, "tgw-attachment-id", TEXT)                                            \
	X(TGW_SRC_VPC_ACCOUNT_ID, "tgw-src-vpc-account-id", TEXT)                                  \
	X(TGW_DST_VPC_ACCOUNT_ID, "tgw-dst-vpc-account-id", TEXT)                                  \
	X(TGW_SRC_VPC_ID, "tgw-src-vpc-id", TEXT)                                                  \
	X(TGW_DST_VPC_ID, "tgw-dst-vpc-id", TEXT)                                                  \
	X(TGW_SRC_SUBNET_ID, "tgw-src-subnet-id", TEXT)                                            \
	X(TGW_DST_SUBNET_ID, "tgw-dst-subnet-id", TEXT)                                            \
	X(TGW_SRC_ENI, "tgw-src-eni", TEXT)                                                        \
	X(TGW_DST_ENI, "tgw-dst-eni", TEXT)                                                        \
	X(TGW_SRC_AZ_ID, "tgw-src-az-id", TEXT)                                                    \
	X(TGW_DST_AZ_ID, "tgw-dst-az-id", TEXT)                                                    \
	X(TGW_PAIR_ATTACHMENT_ID, "tgw-pair-attachment-id", TEXT)                                  \
	X(PACKETS_LOST_NO_ROUTE, "packets-lost-no-route", U64)                                     \
	X(PACKETS_LOST_BLACKHOLE, "packets-lost-blackhole", U64)                                   \
	X(PACKETS_LOST_MTU_EXCEEDED, "packets-lost-mtu-exceeded", U64)                             \
	X(PACKETS_LOST_TTL_EXPIRED, "packets-lost-ttl-expired", U64)

#define FIELDS(X) VPC_FIELDS(X) TGW_FIELDS(X)

/* The default formats, as AWS writes a custom one with these fields. */
#define FORMAT_DEFAULT                                                                             \
	"${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} "    \
	"${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
#define FORMAT_TGW                                                                                 \
	"${version} ${resource-type} ${account-id} ${tgw-id} ${tgw-attachment-id} "                \
	"${tgw-src-vpc-account-id} ${tgw-dst-vpc-account-id} ${tgw-src-vpc-id} "                   \
	"${tgw-dst-vpc-id} ${tgw-src-subnet-id} ${tgw-dst-subnet-id} ${tgw-src-eni} "              \
	"${tgw-dst-eni} ${tgw-src-az-id} ${tgw-dst-az-id} ${tgw-pair-attachment-id} ${srcaddr} "   \
	"${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} "        \
	"${log-status} ${type} ${packets-lost-no-route} ${packets-lost-blackhole} "                \
	"${packets-lost-mtu-exceeded} ${packets-lost-ttl-expired} ${tcp-flags} ${region} "         \
	"${flow-direction} ${pkt-src-aws-service} ${pkt-dst-aws-service}"

enum field {
#define X(code, name, kind) FIELD_##code,
	FIELDS(X)
#undef X
		FIELD_COUNT,
	FIELD_UNKNOWN = FIELD_COUNT /* a name that AWS may have added since: a column of text */
};

enum field_kind {
	FIELD_TEXT,
	FIELD_ADDRESS,
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_TIME,
};

/* AWS's hyphenated name; static. */
struct slice field_name(enum field field);
/* The name with underscores, as Athena and pandas have it; static. */
struct slice field_column_name(enum field field);
/* FIELD_TEXT for FIELD_UNKNOWN. */
enum field_kind field_kind(enum field field);
static inline bool field_is_number(enum field field)
{
	return field_kind(field) >= FIELD_U8;
}

/* By AWS's name, hyphens or underscores; FIELD_UNKNOWN when there is none. */
enum field field_by_name(struct slice name);
/* By a log transformer's camelCase name: case and hyphens do not count (srcAddr, interfaceId). */
enum field field_by_camel_name(struct slice name);

#endif
